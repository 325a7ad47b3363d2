import { readFileSync } from 'node:fs';

/** One burst: when each pod was ready, ms from the start, sorted; how long it took to delete all. */
export interface Sample {
  readonly readyMs: readonly number[];
  readonly deleteMs: number;
}

export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(Math.ceil(sorted.length * share), sorted.length) - 1] ?? 0;
}

/** Clock ticks a second, as the kernel counts CPU time in /proc. */
const ticksPerSecond = 100;

/** CPU seconds a process has used itself, without its children. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

export function residentMiB(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1] ?? 0) / 1024;
}
