import { expect, test } from 'vitest';
import { Wakeups } from './wakeups.js';

const never = new AbortController().signal;

test('wake-ups before the wait count as one and are not lost', async () => {
  const wakeups = new Wakeups<string>(never);
  wakeups.wake('a');
  wakeups.wake('a');
  await wakeups.wait('a', undefined);
  const second = wakeups.wait('a', 5).then(() => 'timed');
  expect(await second).toBe('timed');
});

test('a wake-up ends only the wait for its own key', async () => {
  const wakeups = new Wakeups<string>(never);
  const woken: string[] = [];
  const a = wakeups.wait('a', undefined).then(() => woken.push('a'));
  const b = wakeups.wait('b', undefined).then(() => woken.push('b'));
  wakeups.wake('b');
  await b;
  expect(woken).toEqual(['b']);
  wakeups.wake('a');
  await a;
});

test('a stop ends every wait with its reason, those that come later too', async () => {
  const abort = new AbortController();
  const wakeups = new Wakeups<string>(abort.signal);
  const waiting = [wakeups.wait('a', undefined), wakeups.wait('b', 60_000)];
  abort.abort(new Error('stop'));
  for (const wait of waiting) await expect(wait).rejects.toThrow('stop');
  await expect(wakeups.wait('c', undefined)).rejects.toThrow('stop');
});
