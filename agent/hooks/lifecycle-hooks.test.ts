import { expect, test } from 'vitest';
import { systemClock } from '../../base/clock.js';
import type { RuntimeService } from '../../cri/index.js';
import type { HookTarget } from '../executors/executor-deps.js';
import { LifecycleHooks } from './lifecycle-hooks.js';

const target = (seconds: number): HookTarget => ({
  pod: { metadata: { name: 'p', uid: 'u' }, spec: { containers: [] } },
  container: {
    kind: 'regular',
    index: 0,
    path: 'spec.containers{main}',
    container: { name: 'main', lifecycle: { preStop: { sleep: { seconds } } } },
  },
  containerId: 'c',
  podIp: '',
});

test('a hook that sleeps is counted when it is ended before its time, and only then', async () => {
  let cut = 0;
  const hooks = new LifecycleHooks({
    clock: systemClock,
    runtime: {} as RuntimeService,
    events: { record: () => {} },
    httpGet: () => Promise.reject(new Error('nobody asks')),
    kubeVersion: '1.36',
    sleepCutShort: () => void cut++,
  });
  await hooks.preStop(target(0), new AbortController().signal);
  expect(cut).toBe(0);
  const early = new AbortController();
  const asked = hooks.preStop(target(60), early.signal);
  early.abort(new Error('the grace is over'));
  await expect(asked).rejects.toThrow('the grace is over');
  expect(cut).toBe(1);
});
