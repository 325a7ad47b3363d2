import { afterEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import type { Pod, PodStatus, PodUid } from '../api/index.js';
import { ControlPlaneError } from '../controlplane/control-plane.js';
import { Recovery } from '../controlplane/recovery.js';
import { StatusPublisher } from './status-publisher.js';

const pod: Pod = { metadata: { name: 'a', uid: 'a' }, spec: { containers: [] } };
const status = (ready: boolean): PodStatus => ({
  phase: 'Running',
  conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
});

afterEach(() => void vi.useRealTimers());

/** The wait of the next write is far longer than a test may take. */
const coalesceMs = 3_600_000;

test('what became urgent while a write was on its way goes right after it', async () => {
  const written: (string | undefined)[] = [];
  let answer = (): void => {};
  const controlPlane = {
    writePodStatus: (_pod: Pod, { conditions }: PodStatus): Promise<void> => {
      written.push(conditions?.[0]?.status);
      return new Promise((resolve) => (answer = resolve));
    },
  };
  const publisher = new StatusPublisher({ coalesceMs }, { clock: systemClock, log: silentLogger, controlPlane });
  publisher.publish('a' as PodUid, pod, status(false));
  expect(written).toEqual(['False']);
  publisher.publish('a' as PodUid, pod, status(true));
  expect(written).toEqual(['False']);
  answer();
  await expect.poll(() => written).toEqual(['False', 'True']);
  answer();
  await publisher[Symbol.asyncDispose]();
});

test('what could not be written is written as soon as the control plane recovers, not after its delay', async () => {
  // Left alone it would be tried again after a second, then after two: here that time never passes.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const recovery = new Recovery();
  let isAway = true;
  let tries = 0;
  const controlPlane = {
    writePodStatus: (): Promise<void> => {
      tries++;
      return isAway ? Promise.reject(new ControlPlaneError('away', { code: 'unavailable' })) : Promise.resolve();
    },
    onRecovery: (listener: () => void) => recovery.onRecovery(listener),
  };
  const publisher = new StatusPublisher({ coalesceMs }, { clock: systemClock, log: silentLogger, controlPlane });
  publisher.publish('a' as PodUid, pod, status(true));
  const until = async (count: number): Promise<void> => {
    await expect.poll(() => tries).toBe(count);
    await new Promise(setImmediate);
  };
  await until(1);
  recovery.announce();
  await until(2);
  isAway = false;
  recovery.announce();
  await until(3);
  await publisher[Symbol.asyncDispose]();
  expect(tries).toBe(3);
});
