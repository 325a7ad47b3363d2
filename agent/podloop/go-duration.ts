/** Whole seconds as Go prints a duration: `10s`, `1m20s`, `1h0m0s`; the form Kubernetes' messages use. */
export function formatGoDuration(ms: number): string {
  const total = Math.round(ms / 1000);
  const seconds = `${total % 60}s`;
  if (total < 60) return seconds;
  const minutes = `${Math.floor(total / 60) % 60}m${seconds}`;
  return total < 3600 ? minutes : `${Math.floor(total / 3600)}h${minutes}`;
}
