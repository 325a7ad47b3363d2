import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { systemClock, type Clock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { SliceCleanup } from './slice-cleanup.js';

/** Time that passes when it is told to. */
class HandClock implements Clock {
  #now = 0;
  #sleepers: { at: number; wake: () => void }[] = [];
  now(): number {
    return this.#now;
  }
  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#sleepers.push({ at: this.#now + ms, wake: resolve });
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
  }
  async pass(ms: number): Promise<void> {
    this.#now += ms;
    for (const { at, wake } of this.#sleepers) if (at <= this.#now) wake();
    await delay(1);
  }
}

function world(clock: Clock = new HandClock()): {
  cleanup: SliceCleanup;
  removed: (string | undefined)[];
  fail: number;
} {
  const made = { removed: [] as (string | undefined)[], fail: 0, cleanup: undefined as unknown as SliceCleanup };
  const remove = async (driver: string | undefined): Promise<void> => {
    if (made.fail-- > 0) throw new Error('no answer');
    made.removed.push(driver);
    await Promise.resolve();
  };
  made.cleanup = new SliceCleanup({ delayMs: 30_000 }, { clock, log: silentLogger, remove });
  return made;
}

test('at the start everything goes, tried again until it works', async () => {
  const clock = new HandClock();
  const made = world(clock);
  made.fail = 2;
  made.cleanup.start();
  await delay(1);
  expect(made.removed).toEqual([]);
  await clock.pass(1000);
  await clock.pass(2000);
  expect(made.removed).toEqual([undefined]);
});

test('a driver that stays away loses its slices, one that comes back does not', async () => {
  const clock = new HandClock();
  const { cleanup, removed } = world(clock);
  cleanup.changed(['a', 'b']);
  cleanup.changed([]);
  await clock.pass(20_000);
  cleanup.changed(['b']);
  await clock.pass(20_000);
  expect(removed).toEqual(['a']);
  cleanup.changed([]);
  await clock.pass(30_000);
  expect(removed).toEqual(['a', 'b']);
});

test('nothing happens after the end', async () => {
  const { cleanup, removed } = world(systemClock);
  cleanup.changed(['a']);
  cleanup.changed([]);
  cleanup[Symbol.dispose]();
  await delay(5);
  expect(removed).toEqual([]);
});
