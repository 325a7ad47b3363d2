/** Whole seconds as Go prints a duration: `10s`, `1m20s`, `1h0m0s`; the form Kubernetes' messages use. */
export function formatGoDuration(ms: number): string {
  const total = Math.round(ms / 1000);
  const seconds = `${total % 60}s`;
  if (total < 60) return seconds;
  const minutes = `${Math.floor(total / 60) % 60}m${seconds}`;
  return total < 3600 ? minutes : `${Math.floor(total / 3600)}h${minutes}`;
}

/** The same to the millisecond: `523ms`, `1.5s`, `1m2.003s`. */
export function formatGoMilliseconds(ms: number): string {
  const whole = Math.max(Math.trunc(ms), 0);
  if (whole === 0) return '0s';
  if (whole < 1000) return `${whole}ms`;
  const seconds = `${(whole % 60_000) / 1000}s`;
  if (whole < 60_000) return seconds;
  const minutes = Math.floor(whole / 60_000);
  return minutes < 60 ? `${minutes}m${seconds}` : `${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}`;
}
