import { expect, test } from 'vitest';
import { IdleSweep } from './idle-sweep.js';
import { JoinedWork } from './joined-work.js';

const never = new AbortController().signal;

function gate(): { promise: Promise<void>; open: () => void } {
  let open = (): void => {};
  const promise = new Promise<void>((resolve) => (open = resolve));
  return { promise, open };
}

test('joined work runs once, tells everyone, and is gone when it ended', async () => {
  const joined = new JoinedWork<number, string>();
  const { promise, open } = gate();
  let runs = 0;
  const heard: string[] = [];
  const work = async (_: AbortSignal, report: (text: string) => void): Promise<number> => {
    report(`run ${++runs}`);
    await promise;
    return runs;
  };
  const first = joined.run('k', work, never, (text) => heard.push(`1 ${text}`));
  await Promise.resolve();
  const second = joined.run('k', work, never, (text) => heard.push(`2 ${text}`));
  open();
  expect(await Promise.all([first, second])).toEqual([1, 1]);
  expect(heard.sort()).toEqual(['1 run 1', '2 run 1']);
  expect(joined.size).toBe(0);
  expect(await joined.run('k', async () => 7, never)).toBe(7);
});

test('it is aborted when the last one gives up, and not before', async () => {
  const joined = new JoinedWork<void, string>();
  let aborted = false;
  const work = async (signal: AbortSignal): Promise<void> =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        aborted = true;
        reject(signal.reason as Error);
      });
    });
  const [a, b] = [new AbortController(), new AbortController()];
  const first = joined.run('k', work, a.signal);
  const second = joined.run('k', work, b.signal);
  a.abort(new Error('a'));
  await expect(first).rejects.toThrow('a');
  expect(aborted).toBe(false);
  b.abort(new Error('b'));
  await expect(second).rejects.toThrow('b');
  expect([aborted, joined.size]).toEqual([true, 0]);
});

test('a failure reaches everyone', async () => {
  const joined = new JoinedWork<void, string>();
  const work = async (): Promise<void> => {
    throw new Error('no');
  };
  const both = [joined.run('k', work, never), joined.run('k', work, never)];
  expect((await Promise.allSettled(both)).map((one) => one.status)).toEqual(['rejected', 'rejected']);
});

test('a sweep waits for work and work waits for a sweep', async () => {
  const order: string[] = [];
  const sweeping = gate();
  const idle = new IdleSweep(async () => {
    order.push('sweep begins');
    await sweeping.promise;
    order.push('sweep ends');
  });
  const working = gate();
  const work = idle.during(async () => {
    await working.promise;
    order.push('work ends');
  }, never);
  await idle.request(); // returns at once, kept in mind
  expect(order).toEqual([]);
  working.open();
  await work;
  const next = idle.during(async () => void order.push('next work'), never);
  await Promise.resolve();
  sweeping.open();
  await next;
  await idle.settled();
  expect(order).toEqual(['work ends', 'sweep begins', 'sweep ends', 'next work']);
});
