import { describe, expect, test } from 'vitest';
import type { ContainerStatus } from '../api/index.js';
import { inFlight, testStart as now } from '../podloop/pod-fixtures.js';
import {
  time,
  type Given,
  derive,
  container,
  exited,
  runtime,
  failure,
  one,
  two,
  withInit,
  start,
  ensure,
  stateOf,
  reported,
} from './status-fixtures.js';

test('a container that waited to start again and does not, as its pod is deleted, ended once, not twice', () => {
  const end = { exitCode: 3, reason: 'Error', startedAt: time, finishedAt: time, containerID: 'berth://a-0' };
  const waited = reported({
    containerID: 'berth://a-0',
    state: { waiting: { reason: 'CrashLoopBackOff' } },
    lastState: { terminated: end },
  });
  const status = derive({
    spec: one,
    metadata: { deletionTimestamp: time },
    desired: { previousStatus: { containerStatuses: [waited] } },
    facts: { runtime: runtime(exited('a', 3)) },
  });
  const { state, lastState } = stateOf(status, 'a') ?? {};
  expect({ state, lastState }).toEqual({ state: { terminated: end }, lastState: {} });
});

describe('a container', () => {
  test.each<[string, Given, Partial<ContainerStatus>]>([
    [
      'in its postStart hook is not running yet',
      { spec: one, facts: { runtime: runtime(container('a')), inFlight: inFlight(start('a')) } },
      { state: { waiting: { reason: 'ContainerCreating' } }, started: false, ready: false },
    ],
    [
      'waits for the init containers',
      { spec: withInit, facts: { runtime: runtime(container('first')) } },
      { state: { waiting: { reason: 'PodInitializing' } } },
    ],
    [
      'tells what the pod is stuck at',
      { spec: one, facts: { failures: failure({ kind: 'create-sandbox', attempt: 0 }, 'FailedCreatePodSandBox') } },
      { state: { waiting: { reason: 'ContainerCreating', message: 'the cause' } } },
    ],
    [
      'has a configuration that cannot be made',
      { spec: one, facts: { runtime: runtime(), failures: failure(start('a'), 'CreateContainerConfigError') } },
      { state: { waiting: { reason: 'CreateContainerConfigError', message: 'the cause' } } },
    ],
    [
      'waits to pull its image again',
      { spec: one, facts: { runtime: runtime(), failures: failure(ensure, 'ErrImagePull') } },
      {
        state: {
          waiting: { reason: 'ImagePullBackOff', message: 'Back-off pulling image "a:1": ErrImagePull: the cause' },
        },
      },
    ],
    [
      'pulls its image again',
      {
        spec: one,
        facts: { runtime: runtime(), failures: failure(ensure, 'ErrImagePull'), inFlight: inFlight(ensure) },
      },
      { state: { waiting: { reason: 'ErrImagePull', message: 'the cause' } } },
    ],
    [
      'may not pull its image',
      { spec: one, facts: { runtime: runtime(), failures: failure(ensure, 'ErrImageNeverPull') } },
      { state: { waiting: { reason: 'ErrImageNeverPull', message: 'the cause' } } },
    ],
    [
      'crashes again and again',
      {
        spec: one,
        facts: {
          runtime: runtime(exited('a', 2, { restartCount: 3, message: 'bye' })),
          notes: new Map([['a', { backoff: { delayMs: 40_000, at: now - 1000, key: '["a:1",{}]' } }]]),
        },
      },
      {
        restartCount: 3,
        state: {
          waiting: {
            reason: 'CrashLoopBackOff',
            message: 'back-off 40s restarting failed container=a pod=web_default(u1)',
          },
        },
        lastState: {
          terminated: {
            exitCode: 2,
            reason: 'Error',
            message: 'bye',
            startedAt: time,
            finishedAt: time,
            containerID: 'berth://a-0',
          },
        },
      },
    ],
    [
      'remembers how it ended before',
      { spec: one, facts: { runtime: runtime(container('a', { restartCount: 1, id: 'a-1' }), exited('a', 0)) } },
      {
        restartCount: 1,
        containerID: 'berth://a-1',
        state: { running: { startedAt: time } },
        lastState: {
          terminated: {
            exitCode: 0,
            reason: 'Completed',
            startedAt: time,
            finishedAt: time,
            containerID: 'berth://a-0',
          },
        },
      },
    ],
    [
      'in a state that nobody knows counts as killed',
      { spec: one, facts: { runtime: runtime(container('a', { state: 'unknown' })) } },
      {
        state: {
          terminated: {
            exitCode: 137,
            reason: 'ContainerStatusUnknown',
            message: 'The container could not be located when the pod was terminated',
            containerID: 'berth://a-0',
          },
        },
      },
    ],
    [
      'that ran and is gone counts as killed',
      {
        spec: one,
        desired: { previousStatus: { containerStatuses: [reported({ restartCount: 2, state: { running: {} } })] } },
        facts: { runtime: runtime() },
      },
      {
        restartCount: 3,
        state: { waiting: { reason: 'ContainerCreating' } },
        lastState: {
          terminated: {
            exitCode: 137,
            reason: 'ContainerStatusUnknown',
            message: 'The container could not be located when the pod was deleted.  The container used to be Running',
          },
        },
      },
    ],
    [
      'that ended and was removed stays as it was told',
      {
        spec: { ...one, restartPolicy: 'Never' },
        desired: { previousStatus: { containerStatuses: [reported({ state: { terminated: { exitCode: 4 } } })] } },
      },
      { state: { terminated: { exitCode: 4 } } },
    ],
    [
      'that ran long before the agent started stays ready',
      {
        spec: { containers: [{ name: 'a', image: 'a:1', readinessProbe: {}, startupProbe: {} }] },
        desired: {
          previousStatus: {
            containerStatuses: [
              reported({ containerID: 'berth://a-0', started: true, ready: true, state: { running: {} } }),
            ],
          },
        },
        facts: { runtime: runtime(container('a')), agentStartedAt: now + 10_001 },
      },
      { started: true, ready: true },
    ],
    [
      'that ran only just before the agent started does not',
      {
        spec: { containers: [{ name: 'a', image: 'a:1', readinessProbe: {}, startupProbe: {} }] },
        desired: {
          previousStatus: {
            containerStatuses: [
              reported({ containerID: 'berth://a-0', started: true, ready: true, state: { running: {} } }),
            ],
          },
        },
        facts: { runtime: runtime(container('a')), agentStartedAt: now + 10_000 },
      },
      { started: false, ready: false },
    ],
    [
      'is not ready while its probe says no',
      {
        spec: { containers: [{ name: 'a', image: 'a:1', readinessProbe: {} }] },
        facts: { runtime: runtime(container('a')), probes: new Map([['a-0', { started: true, ready: false }]]) },
      },
      { started: true, ready: false },
    ],
    [
      'has the resources that the runtime gave it',
      {
        spec: {
          containers: [
            {
              name: 'a',
              image: 'a:1',
              resources: { limits: { cpu: '0.5', memory: '64Mi' }, requests: { cpu: '100m' } },
            },
          ],
        },
        facts: {
          runtime: runtime(
            container('a', {
              resources: {
                linux: { cpuQuota: 50_000, cpuPeriod: 100_000, memoryLimitInBytes: 33_554_432, cpuShares: 102 },
              },
            }),
          ),
        },
      },
      {
        resources: { limits: { cpu: '0.5', memory: '33554432' }, requests: { cpu: '100m' } },
        allocatedResources: { cpu: '100m' },
      },
    ],
    [
      'has a CPU limit below the least that the kernel enforces',
      {
        spec: { containers: [{ name: 'a', image: 'a:1', resources: { limits: { cpu: '5m' } } }] },
        facts: {
          runtime: runtime(container('a', { resources: { linux: { cpuQuota: 1000, cpuPeriod: 100_000 } } })),
        },
      },
      { resources: { limits: { cpu: '5m' } } },
    ],
    [
      'tells how its volumes are mounted',
      {
        spec: {
          containers: [
            {
              name: 'a',
              image: 'a:1',
              volumeMounts: [
                { name: 'v', mountPath: '/v' },
                { name: 'w', mountPath: '/w', readOnly: true },
              ],
            },
          ],
        },
        facts: { runtime: runtime(container('a', { mounts: [{ containerPath: '/w', recursiveReadOnly: true }] })) },
      },
      {
        volumeMounts: [
          { name: 'v', mountPath: '/v' },
          { name: 'w', mountPath: '/w', readOnly: true, recursiveReadOnly: 'Enabled' },
        ],
      },
    ],
  ])('%s', (_, given, expected) => {
    expect(stateOf(derive(given), 'a')).toMatchObject(expected);
  });

  test('an init container that ended well is ready; one that the runtime forgot has ended well', () => {
    expect(stateOf(derive({ spec: withInit, facts: { runtime: runtime(exited('first', 0)) } }), 'first')).toMatchObject(
      { ready: true },
    );
    expect(stateOf(derive({ spec: withInit, facts: { runtime: runtime(container('a')) } }), 'first')).toMatchObject({
      ready: true,
      state: { terminated: { exitCode: 0, reason: 'Completed' } },
    });
  });

  test('all containers that start over say so', () => {
    const rule = { action: 'RestartAllContainers' as const, exitCodes: { operator: 'In' as const, values: [42] } };
    const spec = {
      containers: [
        { name: 'a', image: 'a:1', restartPolicy: 'Never' as const, restartPolicyRules: [rule] },
        { name: 'b', image: 'b:1' },
      ],
    };
    const before = derive({ spec, facts: { runtime: runtime(container('a'), container('b')) } });
    const during = derive({ spec, facts: { runtime: runtime(exited('a', 42)), lastReported: before } });
    expect(during.phase).toBe('Running');
    expect(stateOf(during, 'b')).toMatchObject({
      restartCount: 1,
      state: { waiting: { reason: 'RestartingAllContainers' } },
      lastState: { terminated: { exitCode: 137, reason: 'RestartingAllContainers' } },
    });
    expect(during.conditions?.at(-1)).toMatchObject({ type: 'AllContainersRestarting', status: 'True' });
    const after = derive({ spec, facts: { runtime: runtime(), lastReported: during } });
    expect(stateOf(after, 'a')).toMatchObject({
      restartCount: 1,
      state: { waiting: { reason: 'RestartingAllContainers' } },
    });
    expect(after.conditions?.at(-1)).toMatchObject({ type: 'AllContainersRestarting', status: 'False' });
    expect(after.conditions?.find(({ type }) => type === 'Initialized')?.status).toBe('True');
  });

  test('an init container that is removed to start over counts one restart, whatever the others still show', () => {
    const rule = { action: 'RestartAllContainers' as const, exitCodes: { operator: 'In' as const, values: [42] } };
    const spec = {
      initContainers: [{ name: 'first', image: 'first:1' }],
      containers: [{ name: 'a', image: 'a:1', restartPolicy: 'Never' as const, restartPolicyRules: [rule] }],
    };
    const before = derive({ spec, facts: { runtime: runtime(exited('first', 0), container('a')) } });
    let status = before;
    for (const containers of [[exited('a', 42)], [exited('a', 42)], []])
      status = derive({ spec, facts: { runtime: runtime(...containers), lastReported: status } });
    expect(stateOf(status, 'first')).toMatchObject({ restartCount: 1, state: { waiting: {} } });
  });

  test('what was made and never started has not ended, although its removal ends it', () => {
    const notes = new Map([['a', { neverRan: 'a-0' }]]);
    const spec = { ...one, restartPolicy: 'Never' as const };
    const status = derive({ spec, facts: { runtime: runtime(exited('a', 137)), notes } });
    expect(status.phase).toBe('Pending');
    expect(stateOf(status, 'a')).toMatchObject({ restartCount: 0, state: { waiting: {} } });
  });

  test('a start that is known only after the end is told all the same', () => {
    const spec = { ...one, restartPolicy: 'Never' as const };
    const early = derive({ spec, facts: { runtime: runtime(exited('a', 0, { startedAt: 0 })) } });
    expect(stateOf(early, 'a')?.state?.terminated?.startedAt).toBeUndefined();
    const late = derive({ spec, facts: { runtime: runtime(exited('a', 0, { startedAt: now })), lastReported: early } });
    expect(stateOf(late, 'a')?.state?.terminated?.startedAt).toBe(time);
  });

  test('termination messages share 12 KB and are cut between characters', () => {
    const spec = { ...two, restartPolicy: 'Never' as const };
    const long = exited('a', 1, { message: `x${'é'.repeat(6000)}` });
    const message = stateOf(derive({ spec, facts: { runtime: runtime(long, container('b')) } }), 'a')?.state?.terminated
      ?.message;
    expect(Buffer.byteLength(message ?? '')).toBe(6143);
    expect(message?.endsWith('é')).toBe(true);
  });
});
