import { expect, test } from 'vitest';
import { silentLogger } from '../../base/log.js';
import type { Pod, PodContainer } from '../api/index.js';
import type { HookTarget } from './executor-deps.js';
import { runPreStop, stopTimeout } from './pre-stop.js';

const pod: Pod = { metadata: { name: 'web', namespace: 'shop', uid: 'u' }, spec: { containers: [] } };

function target(hook: boolean): HookTarget {
  const container = { name: 'main', ...(hook && { lifecycle: { preStop: { sleep: { seconds: 1 } } } }) };
  const found: PodContainer = { kind: 'regular', path: 'spec.containers[0]', index: 0, container };
  return { pod, container: found, containerId: 'c', podIp: '' };
}

/** A hook that takes this long on a clock of the test's own, or waits until it is told to stop. */
function world(takesMs: number | 'for ever', failure?: Error) {
  let now = 0;
  const events: string[] = [];
  const preStop = async (_target: HookTarget, signal: AbortSignal): Promise<void> => {
    if (takesMs === 'for ever') {
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
      return;
    }
    now += takesMs;
    if (failure) throw failure;
  };
  return {
    events,
    deps: {
      clock: { now: () => now, sleep: () => Promise.resolve() },
      hooks: { preStop, postStart: () => Promise.resolve() },
      log: silentLogger,
      events: {
        record: (_object: object, _type: string, reason: string, message: string) =>
          void events.push(`${reason}: ${message}`),
      },
    },
  };
}

const idle = new AbortController().signal;

test.each([
  { what: 'a hook takes its time off the grace', hook: true, grace: 10, takesMs: 2500, used: 2.5, events: [] },
  { what: 'no hook takes nothing', hook: false, grace: 10, takesMs: 2500, used: 0, events: [] },
  { what: 'without grace no hook runs', hook: true, grace: 0, takesMs: 2500, used: 0, events: [] },
])('$what', async ({ hook, grace, takesMs, used, events }) => {
  const { deps, events: told } = world(takesMs);
  expect(await runPreStop(deps, target(hook), grace, idle, idle)).toBe(used);
  expect(told).toEqual(events);
});

test('a hook that fails is told and holds nothing up', async () => {
  const { deps, events } = world(1000, new Error('no luck'));
  expect(await runPreStop(deps, target(true), 10, idle, idle)).toBe(1);
  expect(events).toEqual(['FailedPreStopHook: PreStopHook failed']);
});

test('a kill with less grace cuts the hook short; being told to stop is no failure of it', async () => {
  const cut = new AbortController();
  const first = world('for ever');
  const running = runPreStop(first.deps, target(true), 600, cut.signal, idle);
  cut.abort(new Error('hurry'));
  await running;
  expect(first.events).toEqual(['FailedPreStopHook: PreStopHook failed']);

  const stop = new AbortController();
  const second = world('for ever');
  const stopped = runPreStop(second.deps, target(true), 600, idle, stop.signal);
  stop.abort(new Error('the agent stops'));
  await expect(stopped).rejects.toThrow('the agent stops');
  expect(second.events).toEqual([]);
});

test.each([
  [29.4, 29],
  [1.998, 2],
  [0.2, 2],
  [-3, 2],
])('of %f seconds of grace the runtime gets %i', (left, whole) => {
  expect(stopTimeout(left)).toBe(whole);
});
