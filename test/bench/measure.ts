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

/** One figure of a benchmark against its target. */
export interface BenchRow {
  readonly name: string;
  readonly figure: number;
  readonly target: number;
  readonly unit: string;
  readonly holds: boolean;
}

export const benchRow = (name: string, figure: number, target: number, unit = 'ms'): BenchRow => ({
  name,
  figure,
  target,
  unit,
  holds: figure <= target,
});

/** CPU of one call in milliseconds, the best of some rounds: others use the machine too. */
export function cheapestCpuMs(work: () => void, rounds = 8, calls = 5): number {
  const figures = Array.from({ length: rounds }, () => {
    const before = process.cpuUsage();
    for (let call = 0; call < calls; call++) work();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000 / calls;
  });
  return Math.min(...figures);
}

/** Milliseconds of each call, sorted; the first `warmUp` do not count. */
export async function timesOf(
  count: number,
  warmUp: number,
  work: (round: number) => Promise<void> | void,
): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < count + warmUp; round++) {
    const started = performance.now();
    await work(round);
    if (round >= warmUp) times.push(performance.now() - started);
  }
  return times.sort((a, b) => a - b);
}

export function rowTable(rows: readonly BenchRow[]): string {
  const lines = rows.map(
    ({ name, figure, target, unit, holds }) =>
      `| ${name} | ${figure.toFixed(2)} ${unit} | ${target} ${unit} | ${holds ? 'yes' : 'NO'} |`,
  );
  return ['| what | measured | target | holds |', '|---|---:|---:|---|', ...lines].join('\n');
}

/**
 * How long what a burst left to do may take before rest begins: records, events, and what the engine collects of the burst's garbage when
 * little is going on: V8's memory reducer takes up to three turns, of eight seconds and more, and the last was seen a minute after the burst.
 * They cost 0.2 to 0.3 s once for a burst, which is no rest.
 */
export const settleMs = 75_000;
