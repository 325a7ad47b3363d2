import { expect, test } from 'vitest';
import { TokenBucket } from './token-bucket.js';

test('a burst, then the rate', () => {
  const bucket = new TokenBucket(100, 10, 0);
  const passed = (calls: number, now: number): number =>
    Array.from({ length: calls }, () => bucket.take(now)).filter((taken) => taken).length;
  expect(passed(50, 0)).toBe(10);
  expect(passed(50, 5)).toBe(0);
  expect(passed(50, 50)).toBe(5);
  expect(passed(50, 10_000)).toBe(10);
});
