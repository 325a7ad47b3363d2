const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `2.3MiB`: three digits at most, as `crictl images` shows sizes. */
export function bytesText(bytes: number): string {
  let amount = bytes;
  let unit = 0;
  while (amount >= 1024 && unit < units.length - 1) {
    amount /= 1024;
    unit++;
  }
  const digits = unit === 0 || amount >= 100 ? 0 : amount >= 10 ? 1 : 2;
  return `${amount.toFixed(digits)}${units[unit] ?? ''}`;
}
