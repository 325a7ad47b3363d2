import { expect, test } from 'vitest';
import { SharedLock } from './shared-lock.js';

const signal = new AbortController().signal;

function gate(): { readonly promise: Promise<void>; readonly open: () => void } {
  let open = (): void => {};
  const promise = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { promise, open };
}

test('many share, one is alone, and nobody passes one that waits to be alone', async () => {
  const lock = new SharedLock();
  const log: string[] = [];
  const first = gate();
  const work =
    (name: string, wait: Promise<void> = Promise.resolve()) =>
    async (): Promise<void> => {
      log.push(`+${name}`);
      await wait;
      log.push(`-${name}`);
    };
  const all = [
    lock.shared(work('a', first.promise), signal),
    lock.shared(work('b', first.promise), signal),
    lock.alone(work('gc'), signal),
    lock.shared(work('c'), signal),
  ];
  await new Promise(setImmediate);
  expect(log).toEqual(['+a', '+b']);
  first.open();
  await Promise.all(all);
  expect(log).toEqual(['+a', '+b', '-a', '-b', '+gc', '-gc', '+c', '-c']);
});

test('one that gives up waiting lets the others in', async () => {
  const lock = new SharedLock();
  const first = gate();
  const controller = new AbortController();
  const holding = lock.shared(() => first.promise, signal);
  const waiting = lock.alone(async () => {}, controller.signal);
  let entered = false;
  const third = lock.shared(async () => {
    entered = true;
  }, signal);
  controller.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  await third;
  expect(entered).toBe(true);
  first.open();
  await holding;
});

test('a failure inside frees the place', async () => {
  const lock = new SharedLock();
  await expect(lock.alone(() => Promise.reject(new Error('no')), signal)).rejects.toThrow('no');
  expect(await lock.alone(() => Promise.resolve(1), signal)).toBe(1);
});
