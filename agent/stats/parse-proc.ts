import type { Pressure, PressureLine } from './usage.js';

const pressureLine = /^(some|full) avg10=([\d.]+) avg60=([\d.]+) avg300=([\d.]+) total=(\d+)$/gm;

/** A pressure file; undefined when the kernel does not keep it. */
export function parsePressure(text: string | undefined): Pressure | undefined {
  if (text === undefined) return undefined;
  const lines = new Map<string, PressureLine>();
  for (const [, kind = '', avg10, avg60, avg300, total] of text.matchAll(pressureLine))
    lines.set(kind, { avg10: Number(avg10), avg60: Number(avg60), avg300: Number(avg300), totalUs: Number(total) });
  const some = lines.get('some');
  return some && { some, full: lines.get('full') };
}

/** `/proc/meminfo` in bytes. */
export function parseMeminfo(text: string): ReadonlyMap<string, number> {
  const values = new Map<string, number>();
  for (const [, key = '', kib] of text.matchAll(/^(\w+):\s+(\d+) kB$/gm)) values.set(key, Number(kib) * 1024);
  return values;
}
