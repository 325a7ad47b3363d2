import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../base/clock.js';
import type { PodUid } from '../api/index.js';
import { RefreshTimer } from './refresh-timer.js';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test('each pod is due once at its time, on one timer; a time taken off is not', () => {
  const due: string[] = [];
  using timer = new RefreshTimer(systemClock, (uid) => due.push(uid));
  const set = (uid: string, inMs: number | undefined): void =>
    timer.set(uid as PodUid, inMs === undefined ? undefined : Date.now() + inMs);
  set('late', 3000);
  set('soon', 1000);
  set('never', 2000);
  set('never', undefined);
  set('far', 2 ** 32);
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(999);
  expect(due).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(due).toEqual(['soon']);
  vi.advanceTimersByTime(5000);
  expect(due).toEqual(['soon', 'late']);
  vi.advanceTimersByTime(2 ** 32);
  expect(due).toEqual(['soon', 'late', 'far']);
  expect(vi.getTimerCount()).toBe(0);
});
