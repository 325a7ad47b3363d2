import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { isCriCode } from '../contract/cri-error.js';
import { OneTimeTokens } from './one-time-tokens.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a token is good once', () => {
  using tokens = new OneTimeTokens<string>(1000, 10);
  const token = tokens.issue('exec');
  expect(tokens.take(token)).toBe('exec');
  expect(tokens.take(token)).toBeUndefined();
  expect(tokens.take('guess')).toBeUndefined();
});

test('a token is good for its time', () => {
  using tokens = new OneTimeTokens<string>(1000, 10);
  const token = tokens.issue('exec');
  vi.advanceTimersByTime(1001);
  expect(tokens.take(token)).toBeUndefined();
});

test('only so many wait at once', () => {
  using tokens = new OneTimeTokens<string>(1000, 2);
  const first = tokens.issue('a');
  tokens.issue('b');
  expect(() => tokens.issue('c')).toThrow(expect.toSatisfy((err) => isCriCode(err, 'resource-exhausted')));
  tokens.take(first);
  tokens.issue('c');
});
