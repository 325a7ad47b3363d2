import { describe, expect, test } from 'vitest';
import type { PodStatus } from '../api/index.js';
import type { DesiredPod } from '../podloop/pod-facts.js';
import { testStart as now } from '../podloop/pod-fixtures.js';
import {
  time,
  earlier,
  type Given,
  derive,
  container,
  exited,
  runtime,
  stopped,
  one,
  two,
  withInit,
  withSidecar,
} from './status-fixtures.js';

describe('phase', () => {
  const ended = { volumesPresent: false, released: true };
  test.each<[string, Given, PodStatus['phase']]>([
    ['an init container runs', { spec: withInit, facts: { runtime: runtime(container('first')) } }, 'Pending'],
    [
      'an init container waits to run again',
      { spec: withInit, facts: { runtime: runtime(exited('first', 1)) } },
      'Pending',
    ],
    [
      'an init container failed for good',
      { spec: { ...withInit, restartPolicy: 'Never' }, facts: { runtime: stopped(exited('first', 1)), ...ended } },
      'Failed',
    ],
    [
      'a sidecar runs, nothing else yet',
      { spec: withSidecar, facts: { runtime: runtime(container('side')) } },
      'Pending',
    ],
    [
      'a sidecar restarts in a pod that runs',
      { spec: withSidecar, facts: { runtime: runtime(container('a'), exited('side', 1)) } },
      'Running',
    ],
    ['one of two has never run', { spec: two, facts: { runtime: runtime(container('a')) } }, 'Pending'],
    [
      'one of two failed for good',
      { spec: { ...two, restartPolicy: 'Never' }, facts: { runtime: runtime(container('a'), exited('b', 1)) } },
      'Running',
    ],
    ['all are down and restart', { spec: one, facts: { runtime: runtime(exited('a', 0)) } }, 'Running'],
    [
      'a failure restarts',
      { spec: { ...one, restartPolicy: 'OnFailure' }, facts: { runtime: runtime(exited('a', 1)) } },
      'Running',
    ],
    [
      'all succeeded',
      { spec: { ...one, restartPolicy: 'OnFailure' }, facts: { runtime: stopped(exited('a', 0)) } },
      'Succeeded',
    ],
    [
      'one failed for good',
      { spec: { ...two, restartPolicy: 'Never' }, facts: { runtime: stopped(exited('a', 0), exited('b', 3)) } },
      'Failed',
    ],
    [
      'the exit of a sidecar does not matter',
      {
        spec: { ...withSidecar, restartPolicy: 'Never' },
        facts: { runtime: stopped(exited('a', 0), exited('side', 137)) },
      },
      'Succeeded',
    ],
    [
      'all ended, a sidecar still runs: withheld',
      {
        spec: { ...withSidecar, restartPolicy: 'Never' },
        facts: { runtime: runtime(exited('a', 0), container('side')), lastReported: { phase: 'Running' } },
      },
      'Running',
    ],
    [
      'all ended, the sandbox is not stopped: withheld',
      {
        spec: { ...one, restartPolicy: 'Never' },
        facts: { runtime: runtime(exited('a', 0)), lastReported: { phase: 'Running' } },
      },
      'Running',
    ],
    [
      'deleted: what is down does not come back',
      {
        spec: one,
        desired: { termination: { cause: 'deleted', since: now, graceSeconds: 30 } },
        facts: { runtime: stopped(exited('a', 143)) },
      },
      'Failed',
    ],
    [
      'deleted before anything ran',
      { spec: one, desired: { termination: { cause: 'deleted', since: now, graceSeconds: 30 } }, facts: ended },
      'Failed',
    ],
    [
      'a static pod that always restarts, deleted',
      {
        spec: one,
        desired: { static: true, termination: { cause: 'removed', since: now, graceSeconds: 30 } },
        facts: { runtime: stopped(exited('a', 143)) },
      },
      'Running',
    ],
    [
      'over before, according to the control plane',
      { spec: one, desired: { previousStatus: { phase: 'Failed' } }, facts: { runtime: runtime(container('a')) } },
      'Failed',
    ],
  ])('%s', (_, given, phase) => {
    expect(derive(given).phase).toBe(phase);
  });

  test('what the node decided goes before what the containers say, but not before the end', () => {
    const condition = {
      type: 'DisruptionTarget',
      status: 'True',
      reason: 'TerminationByKubelet',
      message: 'short',
    } as const;
    const status = { phase: 'Failed', reason: 'Evicted', message: 'The node was low on memory.', condition } as const;
    const desired: Partial<DesiredPod> = { termination: { cause: 'evicted', since: now, graceSeconds: 0, status } };
    const lastReported: PodStatus = { phase: 'Running' };
    const running = derive({ spec: one, desired, facts: { runtime: runtime(container('a')), lastReported } });
    expect([running.phase, running.reason]).toEqual(['Running', undefined]);
    expect(running.conditions?.map(({ type }) => type)).not.toContain('DisruptionTarget');
    const over = derive({ spec: one, desired, facts: { runtime: stopped(exited('a', 0)), lastReported } });
    expect(over).toMatchObject({ phase: 'Failed', reason: 'Evicted', message: 'The node was low on memory.' });
    expect(over.conditions?.[0]).toEqual({ ...condition, lastTransitionTime: time });
    const later = derive({ spec: one, desired, facts: { runtime: stopped(exited('a', 0)), lastReported: over } });
    expect(later).toBe(over);
  });

  test('a pod that succeeded stays so when it is evicted', () => {
    const status = { phase: 'Failed', reason: 'Evicted', message: 'x' } as const;
    const desired: Partial<DesiredPod> = { termination: { cause: 'evicted', since: now, graceSeconds: 0, status } };
    const facts = { runtime: stopped(exited('a', 0)), lastReported: { phase: 'Succeeded' as const } };
    expect(derive({ spec: one, desired, facts })).toMatchObject({ phase: 'Succeeded' });
  });

  test('a deadline that is over', () => {
    const facts = {
      runtime: stopped(exited('a', 137)),
      lastReported: { phase: 'Running' as const, startTime: earlier },
    };
    expect(derive({ spec: { ...one, activeDeadlineSeconds: 60 }, facts })).toMatchObject({
      phase: 'Failed',
      reason: 'DeadlineExceeded',
      message: 'Pod was active on the node longer than the specified deadline',
      startTime: earlier,
    });
  });

  test('a pod that was refused has no containers to speak of', () => {
    const status = { phase: 'Failed', reason: 'OutOfcpu', message: 'Pod was rejected: no' } as const;
    const termination = { cause: 'rejected', since: now, graceSeconds: 0, status } as const;
    expect(derive({ spec: one, desired: { termination }, facts: { prepared: false, volumesPresent: false } })).toEqual({
      phase: 'Failed',
      reason: 'OutOfcpu',
      message: 'Pod was rejected: no',
      qosClass: 'BestEffort',
      startTime: time,
    });
  });
});
