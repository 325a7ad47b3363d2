import { expect, test } from 'vitest';
import type { RuntimeService } from '../../cri/index.js';
import type { Clock } from '../../base/clock.js';
import { RuntimeHealthWatch } from './runtime-health.js';

/** Sleeps end when the test says so, or with their signal. */
class HandClock implements Clock {
  readonly pauses: { readonly ms: number; readonly end: () => void }[] = [];

  now(): number {
    return 0;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.pauses.push({ ms, end: resolve });
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
  }
}

test('an outage that somebody else saw is watched closely at once, not after the long pause of good days', async () => {
  const clock = new HandClock();
  let up = true;
  const status: RuntimeService['status'] = () => (up ? Promise.resolve({}) : Promise.reject(new Error('nobody there')));
  const said: boolean[] = [];
  const watch = new RuntimeHealthWatch({
    clock,
    runtime: { status } as RuntimeService,
    changed: ({ ready }) => void said.push(ready),
  });
  const stop = new AbortController();
  const running = watch.run(stop.signal);
  const paused = async (count: number): Promise<void> => {
    while (clock.pauses.length < count) await new Promise((resolve) => setImmediate(resolve));
  };
  await paused(1);
  expect(clock.pauses[0]?.ms).toBe(30_000);
  up = false;
  await watch.check(stop.signal);
  await paused(2);
  expect(clock.pauses[1]?.ms).toBe(1000);
  up = true;
  clock.pauses[1]?.end();
  await paused(3);
  expect(said).toEqual([true, false, true]);
  expect(clock.pauses[2]?.ms).toBe(30_000);
  stop.abort(new Error('over'));
  await expect(running).rejects.toThrow('over');
});
