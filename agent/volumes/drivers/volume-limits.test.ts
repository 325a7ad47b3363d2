import { expect, test } from 'vitest';
import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import type { CsiDriverInfo } from '../../../csi/index.js';
import type { ControlPlane } from '../../controlplane/control-plane.js';
import { VolumeLimits } from './volume-limits.js';

const { signal } = new AbortController();

test.each([
  ['asks again', 600, ['asked a.com', 'announced a.com']],
  ['is left alone', undefined, []],
])('a volume did not fit: a driver whose CSIDriver %s at once', async (_what, seconds, expected) => {
  const told: string[] = [];
  const get = (): Promise<object> =>
    Promise.resolve({ metadata: { name: 'a.com' }, spec: { nodeAllocatableUpdatePeriodSeconds: seconds } });
  using limits = new VolumeLimits({
    ...{ clock: systemClock, log: silentLogger },
    controlPlane: {
      get: get as unknown as ControlPlane['get'],
      watch: () => ({ [Symbol.dispose]() {} }),
    },
    refresh: (name) => {
      told.push(`asked ${name}`);
      return Promise.resolve({ name } as CsiDriverInfo);
    },
    announce: ({ name }) => Promise.resolve(void told.push(`announced ${name}`)),
  });
  await limits.askNow('a.com');
  limits.driverChanged({ name: 'a.com', state: { kind: 'ready' } as CsiDriverInfo['state'] });
  // The CSIDriver object has been read by then.
  await new Promise(setImmediate);
  await limits.askNow('a.com');
  expect(told).toEqual(expected);
});

test('a driver whose CSIDriver asks for it is asked again and again, as long as both want it', async () => {
  let seconds: number | undefined = 0.01;
  let changed = (): void => {};
  let asked = 0;
  let announced = 0;
  const until = async (holds: () => boolean): Promise<void> => {
    const deadline = performance.now() + 20_000;
    while (!holds()) {
      if (performance.now() > deadline) throw new Error('not in time');
      await systemClock.sleep(2, signal);
    }
  };
  const controlPlane = {
    get: (() =>
      Promise.resolve({
        metadata: { name: 'a.com' },
        spec: { nodeAllocatableUpdatePeriodSeconds: seconds },
      })) as unknown as ControlPlane['get'],
    watch: ((_kind: string, _namespace: string, _name: string, listener: () => void) => {
      changed = listener;
      return { [Symbol.dispose]: () => (changed = () => {}) };
    }) as ControlPlane['watch'],
  };
  using limits = new VolumeLimits({
    ...{ clock: systemClock, log: silentLogger, controlPlane },
    refresh: async () => {
      if (asked++ === 0) throw new Error('busy');
      return await Promise.resolve({ name: 'a.com' } as CsiDriverInfo);
    },
    announce: () => Promise.resolve(void announced++),
  });
  const ready = { name: 'a.com', state: { kind: 'ready' } as CsiDriverInfo['state'] };
  limits.driverChanged(ready);
  await until(() => announced >= 2);
  seconds = undefined;
  changed();
  await systemClock.sleep(20, signal);
  const after = asked;
  await systemClock.sleep(40, signal);
  expect(asked).toBe(after);
  seconds = 0.01;
  changed();
  await until(() => asked > after);
  limits.driverChanged({ ...ready, state: { kind: 'gone' } });
  const last = asked;
  await systemClock.sleep(40, signal);
  expect(asked).toBeLessThanOrEqual(last + 1);
});
