import { expect, test } from 'vitest';
import { onAbort } from '../../base/signals.js';
import type { PodUid } from '../api/index.js';
import { OngoingWork } from './ongoing-work.js';

const uid = 'u' as PodUid;

/** Work that ends when it is told to. */
function world(patienceMs: number) {
  const lifetime = new AbortController();
  const ongoing = new OngoingWork<string>({ patienceMs }, { now: () => 7 }, lifetime.signal);
  const begun: Array<{ end: (result: string) => void; fail: (err: Error) => void; aborted: boolean }> = [];
  const told: string[] = [];
  const work = (signal: AbortSignal): Promise<string> =>
    new Promise((end, fail) => {
      const one = { end, fail, aborted: false };
      begun.push(one);
      onAbort(signal, () => {
        one.aborted = true;
        fail(signal.reason as Error);
      });
    });
  const ask = (
    signal = new AbortController().signal,
    { what = 'data', version = 1 } = {},
  ): ReturnType<typeof ongoing.run> =>
    ongoing.run({ uid, what, version, later: () => void told.push(what) }, work, signal);
  return { ongoing, lifetime, begun, told, ask };
}

const long = 1_000_000;

test('work that ends in time is an answer like any other, and the next is begun anew', async () => {
  const { ask, begun, told } = world(long);
  const first = ask();
  begun[0]?.end('made');
  expect(await first).toEqual({ ended: 'made', current: true });
  const second = ask();
  begun[1]?.fail(new Error('no such disk'));
  await expect(second).rejects.toThrow('no such disk');
  expect(begun).toHaveLength(2);
  expect(told).toEqual([]);
});

test('work that takes longer goes on; who asks again joins it and does not wait again, and its end is told once', async () => {
  const { ask, begun, told, ongoing } = world(5);
  expect(await ask()).toEqual({ since: 7 });
  expect(await ask()).toEqual({ since: 7 });
  expect(begun).toHaveLength(1);
  expect(ongoing.list(uid)).toEqual([{ what: 'data', since: 7 }]);
  expect(ongoing.list('v' as PodUid)).toEqual([]);
  begun[0]?.end('made');
  await expect.poll(() => told, { timeout: 60_000 }).toEqual(['data']);
  expect(await ask()).toEqual({ ended: 'made', current: true });
  expect(ongoing.list(uid)).toEqual([]);
});

test('a failure that came later is told to the next who asks, and the one after that tries anew', async () => {
  const { ask, begun, told } = world(5);
  await ask();
  begun[0]?.fail(new Error('the array is on fire'));
  await expect.poll(() => told, { timeout: 60_000 }).toEqual(['data']);
  await expect(ask()).rejects.toThrow('the array is on fire');
  await ask();
  expect(begun).toHaveLength(2);
});

test('who gives up while waiting ends the work; what nobody waits for ends with its pod or with the agent', async () => {
  const given = world(long);
  const abort = new AbortController();
  const asked = given.ask(abort.signal);
  abort.abort(new Error('not wanted'));
  await expect(asked).rejects.toThrow('not wanted');
  expect(given.begun[0]?.aborted).toBe(true);
  expect(given.ongoing.list(uid)).toEqual([]);

  const left = world(5);
  await left.ask();
  await left.ask(undefined, { what: 'other' });
  await left.ongoing.stop('v' as PodUid);
  expect(left.begun.map(({ aborted }) => aborted)).toEqual([false, false]);
  await left.ongoing.stop(uid);
  expect(left.begun.map(({ aborted }) => aborted)).toEqual([true, true]);

  const last = world(5);
  await last.ask();
  await last.ongoing[Symbol.asyncDispose]();
  expect(last.begun[0]?.aborted).toBe(true);
});

test('what was begun before there was a reason to do it anew says so', async () => {
  const { ask, begun, told } = world(5);
  await ask();
  begun[0]?.end('old');
  await expect.poll(() => told, { timeout: 60_000 }).toEqual(['data']);
  expect(await ask(undefined, { version: 2 })).toEqual({ ended: 'old', current: false });
});
