import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nextLookMs, type TimedLook } from './next-look.js';
import type { EvictionSignal } from './signals.js';
import type { Threshold } from './thresholds.js';

const usualMs = 10_000;
const threshold = (signal: EvictionSignal, amount: number): Threshold => ({
  signal,
  value: { kind: 'amount', amount },
  graceMs: 0,
  minReclaim: undefined,
});
const look = (at: number, signal: EvictionSignal, available: number): TimedLook => ({
  at,
  observations: new Map([[signal, { available, capacity: 1000 }]]),
});

test.each<[string, EvictionSignal, number | undefined, number, number]>([
  // What is left below 200 is near a threshold of 100; the last look was 10 s ago.
  ['memory, far', 'memory.available', 900, 200, 10_000],
  ['memory, near', 'memory.available', 199, 199, 1000],
  ['memory, crossed', 'allocatableMemory.available', 90, 90, 1000],
  ['processes, near', 'pid.available', undefined, 150, 1000],
  ['a disk, near, seen for the first time', 'imagefs.available', undefined, 110, 10_000],
  ['a disk, near, at rest', 'imagefs.available', 110, 110, 10_000],
  ['a disk, near, freed', 'nodefs.available', 110, 120, 10_000],
  ['a disk that would last an hour', 'nodefs.available', 461, 460, 10_000],
  ['a disk, far, filled in seconds', 'nodefs.available', 1000, 600, 6250],
  ['a disk, near, filled in seconds', 'nodefs.inodesFree', 300, 140, 1250],
  ['a disk, full in a moment', 'containerfs.available', 900, 101, 1000],
  ['a disk, crossed and filling', 'nodefs.available', 500, 90, 10_000],
])('%s', (_name, signal, last, available, expected) => {
  const before = last === undefined ? undefined : look(0, signal, last);
  expect(nextLookMs([threshold(signal, 100)], look(10_000, signal, available), before, usualMs)).toBe(expected);
});

test('the most urgent signal decides; one that cannot be measured does not', () => {
  const thresholds = [threshold('memory.available', 100), threshold('nodefs.available', 100)];
  const now = look(10_000, 'nodefs.available', 300);
  expect(nextLookMs(thresholds, now, look(0, 'nodefs.available', 700), usualMs)).toBe(2500);
  expect(nextLookMs([], now, undefined, usualMs)).toBe(usualMs);
  // Where it is looked at more often than every second anyway.
  expect(nextLookMs(thresholds, look(0, 'memory.available', 10), undefined, 500)).toBe(500);
});

test('a disk that goes on filling at its pace is seen before half of what was left is gone, or within the second', () => {
  fc.assert(
    fc.property(fc.integer({ min: 101, max: 1000 }), fc.integer({ min: 1, max: 500 }), (available, perTenSeconds) => {
      const before = look(0, 'nodefs.available', available + perTenSeconds);
      const ms = nextLookMs(
        [threshold('nodefs.available', 100)],
        look(10_000, 'nodefs.available', available),
        before,
        usualMs,
      );
      const gone = (ms / 10_000) * perTenSeconds;
      expect(ms === 1000 || gone <= (available - 100) / 2 + 1e-9).toBe(true);
    }),
  );
});
