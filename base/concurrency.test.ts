import { describe, expect, test } from 'vitest';
import { FifoLimit, KeyedLock } from './fifo-limit.js';
import { linkSignal, orAbort, TimedOut } from './signals.js';
import { UndoStack } from './undo-stack.js';

const never = new AbortController().signal;

describe('FifoLimit', () => {
  test('lets in as many as it may, the others in the order they came', async () => {
    const limit = new FifoLimit(2);
    const order: number[] = [];
    const doors: (() => void)[] = [];
    const work = (n: number) => (): Promise<void> => {
      order.push(n);
      return new Promise((resolve) => doors.push(resolve));
    };
    const all = [1, 2, 3, 4].map((n) => limit.run(work(n), never));
    await new Promise(setImmediate);
    expect(order).toEqual([1, 2]);
    expect(limit.waiting).toBe(2);
    while (doors.length > 0) {
      doors.shift()?.();
      await new Promise(setImmediate);
    }
    await Promise.all(all);
    expect(order).toEqual([1, 2, 3, 4]);
  });

  test('one that gives up leaves its place, and a failure frees it', async () => {
    const limit = new FifoLimit(1);
    const abort = new AbortController();
    let open = (): void => {};
    const first = limit.run(() => new Promise<void>((resolve) => (open = resolve)), never);
    const second = limit.run(() => Promise.resolve('second'), abort.signal);
    const third = limit.run(() => Promise.reject(new Error('broken')), never);
    const fourth = limit.run(() => Promise.resolve('fourth'), never);
    const all = Promise.allSettled([first, second, third, fourth]);
    await new Promise(setImmediate);
    abort.abort(new Error('changed my mind'));
    open();
    expect(await all).toEqual([
      { status: 'fulfilled', value: undefined },
      { status: 'rejected', reason: new Error('changed my mind') },
      { status: 'rejected', reason: new Error('broken') },
      { status: 'fulfilled', value: 'fourth' },
    ]);
  });
});

test('KeyedLock runs one per key and different keys at once', async () => {
  const lock = new KeyedLock();
  const running = new Map<string, number>();
  let most = 0;
  const work = (key: string) => async (): Promise<void> => {
    running.set(key, (running.get(key) ?? 0) + 1);
    most = Math.max(most, ...running.values());
    await new Promise(setImmediate);
    running.set(key, (running.get(key) ?? 0) - 1);
  };
  await Promise.all(['a', 'a', 'b', 'a', 'b'].map((key) => lock.run(key, work(key), never)));
  expect(most).toBe(1);
});

describe('linkSignal', () => {
  test('follows its parent, its own time and its own hand, and lets go of the parent', () => {
    const parent = new AbortController();
    {
      using linked = linkSignal(parent.signal);
      linked.abort(new Error('mine'));
      expect(linked.signal.reason).toEqual(new Error('mine'));
      expect(parent.signal.aborted).toBe(false);
    }
    using linked = linkSignal(parent.signal);
    parent.abort(new Error('from above'));
    expect(linked.signal.reason).toEqual(new Error('from above'));
  });

  test('a time limit says what was waited for', async () => {
    using linked = linkSignal(never, { timeoutMs: 5, what: 'the driver' });
    const waiting = orAbort(new Promise(() => {}), linked.signal);
    await expect(waiting).rejects.toThrow(TimedOut);
    await expect(waiting).rejects.toThrow('the driver: no answer within 5 ms');
  });
});

describe('UndoStack', () => {
  test('undoes in reverse order, all of it, unless kept', async () => {
    const done: string[] = [];
    const stack = new UndoStack();
    stack.push('a', () => void done.push('a'));
    stack.push('b', () => Promise.reject(new Error('b is stuck')));
    stack.push('c', () => void done.push('c'));
    await expect(stack[Symbol.asyncDispose]()).rejects.toThrow('undo b');
    expect(done).toEqual(['c', 'a']);
    const kept = new UndoStack();
    kept.push('a', () => void done.push('never'));
    kept.keep();
    await kept[Symbol.asyncDispose]();
    expect(done).toEqual(['c', 'a']);
  });
});
