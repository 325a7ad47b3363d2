import { expect, test } from 'vitest';
import { Wakeups } from './wakeups.js';

const never = new AbortController().signal;

test('wake-ups before the wait count as one and are not lost', async () => {
  const wakeups = new Wakeups<string>();
  wakeups.wake('a');
  wakeups.wake('a');
  await wakeups.wait('a', undefined, never);
  const second = wakeups.wait('a', 5, never).then(() => 'timed');
  expect(await second).toBe('timed');
});

test('a wake-up ends only the wait for its own key', async () => {
  const wakeups = new Wakeups<string>();
  const woken: string[] = [];
  const a = wakeups.wait('a', undefined, never).then(() => woken.push('a'));
  const b = wakeups.wait('b', undefined, never).then(() => woken.push('b'));
  wakeups.wake('b');
  await b;
  expect(woken).toEqual(['b']);
  wakeups.wake('a');
  await a;
});

test('an abort rejects with its reason', async () => {
  const wakeups = new Wakeups<string>();
  const abort = new AbortController();
  const waiting = wakeups.wait('a', undefined, abort.signal);
  abort.abort(new Error('stop'));
  await expect(waiting).rejects.toThrow('stop');
});
