import { describe, expect, test } from 'vitest';
import type { PodStatus } from '../api/index.js';
import { inFlight } from '../podloop/pod-fixtures.js';
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
  withInit,
  ensure,
} from './status-fixtures.js';

describe('conditions', () => {
  const find = (status: PodStatus, type: string): unknown => status.conditions?.find((each) => each.type === type);

  test('the sandbox is told of before an image is there', () => {
    const status = derive({ spec: one, facts: { runtime: runtime(), inFlight: inFlight(ensure) } });
    expect(find(status, 'PodReadyToStartContainers')).toMatchObject({ status: 'True' });
  });

  test('init containers that are not done', () => {
    const status = derive({ spec: withInit, facts: { runtime: runtime(container('first')) } });
    expect(find(status, 'Initialized')).toMatchObject({
      status: 'False',
      reason: 'ContainersNotInitialized',
      message: 'containers with incomplete status: [first]',
    });
  });

  test.each<[string, Given, object]>([
    [
      'completed',
      { spec: { ...one, restartPolicy: 'Never' }, facts: { runtime: stopped(exited('a', 0)) } },
      { status: 'False', reason: 'PodCompleted' },
    ],
    [
      'failed',
      { spec: { ...one, restartPolicy: 'Never' }, facts: { runtime: stopped(exited('a', 1)) } },
      { status: 'False', reason: 'PodFailed' },
    ],
    [
      'without a word on its gate',
      { spec: { ...one, readinessGates: [{ conditionType: 'x/y' }] }, facts: { runtime: runtime(container('a')) } },
      {
        status: 'False',
        reason: 'ReadinessGatesNotReady',
        message: 'corresponding condition of pod readiness gate "x/y" does not exist.',
      },
    ],
    [
      'with a closed gate',
      {
        spec: { ...one, readinessGates: [{ conditionType: 'x/y' }] },
        desired: { previousStatus: { conditions: [{ type: 'x/y', status: 'False' }] } },
        facts: { runtime: runtime(container('a')) },
      },
      {
        status: 'False',
        reason: 'ReadinessGatesNotReady',
        message: 'the status of pod readiness gate "x/y" is not "True", but False',
      },
    ],
    [
      'with an open gate',
      {
        spec: { ...one, readinessGates: [{ conditionType: 'x/y' }] },
        desired: { previousStatus: { conditions: [{ type: 'x/y', status: 'True' }] } },
        facts: { runtime: runtime(container('a')) },
      },
      { status: 'True' },
    ],
  ])('Ready of a pod %s', (_, given, expected) => {
    expect(find(derive(given), 'Ready')).toMatchObject(expected);
  });

  test('a transition has the time at which it happened, and others keep theirs', () => {
    const conditions = [
      { type: 'Ready', status: 'False' as const, lastTransitionTime: earlier },
      { type: 'Initialized', status: 'True' as const, lastTransitionTime: earlier },
      { type: 'custom/one', status: 'True' as const, lastTransitionTime: earlier },
    ];
    const status = derive({
      spec: one,
      desired: { previousStatus: { conditions } },
      facts: { runtime: runtime(container('a')) },
    });
    expect(status.conditions?.map(({ type, lastTransitionTime }) => [type, lastTransitionTime])).toEqual([
      ['custom/one', earlier],
      ['PodReadyToStartContainers', time],
      ['Initialized', earlier],
      ['Ready', time],
      ['ContainersReady', time],
      ['PodScheduled', time],
    ]);
  });
});
