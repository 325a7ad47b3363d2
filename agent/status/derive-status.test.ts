import { describe, expect, test } from 'vitest';
import type { ContainerStatus, Pod, PodSpec, PodStatus } from '../api/index.js';
import type { DesiredPod, ObservedContainer, PodFacts } from '../podloop/pod-facts.js';
import { planPod } from '../podloop/plan-pod.js';
import {
  inFlight,
  testContainer,
  testDesired,
  testFacts,
  testPod,
  testPolicy,
  testSandbox,
  testStart as now,
} from '../podloop/simulated-pod.js';
import { stepKey, type Step, type StepFailure } from '../podloop/steps.js';
import { deriveStatus } from './derive-status.js';
import { sameStatus } from './same-status.js';

const time = '2026-01-01T00:00:00Z';
const earlier = '2025-12-31T23:00:00Z';

interface Given {
  readonly spec?: Partial<PodSpec>;
  readonly metadata?: Parameters<typeof testPod>[1];
  readonly desired?: Partial<DesiredPod>;
  readonly facts?: Partial<PodFacts>;
}

function derive({ spec, metadata, desired, facts }: Given): PodStatus {
  const wanted = testDesired(testPod(spec, metadata), desired);
  const seen = testFacts(facts);
  const status = deriveStatus(wanted, seen, planPod(wanted, seen, testPolicy, now), now);
  if (!status) throw new Error('there is no status');
  return status;
}

const container = (name: string, fields: Partial<ObservedContainer> = {}): ObservedContainer =>
  testContainer({ name, image: `${name}:1`, ...fields });
const exited = (name: string, exitCode: number, fields: Partial<ObservedContainer> = {}): ObservedContainer =>
  container(name, {
    state: 'exited',
    exitCode,
    finishedAt: now,
    reason: exitCode === 0 ? 'Completed' : 'Error',
    ...fields,
  });
const runtime = (...containers: readonly ObservedContainer[]): PodFacts['runtime'] => ({
  sandboxes: [testSandbox()],
  containers,
});
const stopped = (...containers: readonly ObservedContainer[]): PodFacts['runtime'] => ({
  sandboxes: [testSandbox({ ready: false })],
  containers,
});
const failure = (step: Step, reason: string, fields: Partial<StepFailure> = {}): PodFacts['failures'] =>
  new Map([
    [
      stepKey(step),
      { step, attempt: 1, since: now, failedAt: now, nextTry: now + 5000, reason, message: 'the cause', ...fields },
    ],
  ]);

const one = { containers: [{ name: 'a', image: 'a:1' }] };
const two = {
  containers: [
    { name: 'b', image: 'b:1' },
    { name: 'a', image: 'a:1' },
  ],
};
const withInit = { ...one, initContainers: [{ name: 'first', image: 'first:1' }] };
const withSidecar = { ...one, initContainers: [{ name: 'side', image: 'side:1', restartPolicy: 'Always' as const }] };

const start = (name: string): Step => ({
  kind: 'start-container',
  container: name,
  role: 'regular',
  sandboxId: 's0',
  imageId: 'i',
  restartCount: 0,
});
const ensure: Step = { kind: 'ensure-image', container: 'a', image: 'a:1' };

const stateOf = (status: PodStatus, name: string): ContainerStatus | undefined =>
  [
    ...(status.initContainerStatuses ?? []),
    ...(status.containerStatuses ?? []),
    ...(status.ephemeralContainerStatuses ?? []),
  ].find((each) => each.name === name);

test('a whole status: a pod that runs', () => {
  const spec = { containers: [{ name: 'a', image: 'a:1', resources: { requests: { cpu: '100m' } } }] };
  const user = { linux: { uid: 7, gid: 8, supplementalGroups: [9] } };
  const facts = { runtime: runtime(container('a', { user })) };
  const condition = (type: string): object => ({
    type,
    status: 'True',
    lastTransitionTime: time,
    observedGeneration: 3,
  });
  expect(derive({ spec, metadata: { generation: 3 }, facts })).toEqual({
    phase: 'Running',
    qosClass: 'Burstable',
    startTime: time,
    observedGeneration: 3,
    conditions: ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map(condition),
    hostIP: '192.0.2.1',
    hostIPs: [{ ip: '192.0.2.1' }],
    podIP: '10.0.0.2',
    podIPs: [{ ip: '10.0.0.2' }],
    resources: { requests: { cpu: '100m' } },
    allocatedResources: { cpu: '100m' },
    containerStatuses: [
      {
        name: 'a',
        image: 'a:1',
        imageID: 'sha256:1',
        containerID: 'berth://a-0',
        ready: true,
        started: true,
        restartCount: 0,
        state: { running: { startedAt: time } },
        lastState: {},
        resources: { requests: { cpu: '100m' } },
        allocatedResources: { cpu: '100m' },
        user,
      },
    ],
  });
});

test('a pod as a whole has what its cgroup was made for, and is promised what it asks now', () => {
  const size = (cpu: string): object => ({ requests: { cpu, memory: '32Mi' }, limits: { cpu } });
  const containers = [{ name: 'a', image: 'a:1', resources: { requests: { cpu: '50m', 'example.com/x': '1' } } }];
  const spec = { containers, resources: size('200m') };
  const before = { spec: { containers, resources: size('100m') } } as Pod;
  const resize = { refusal: undefined, given: undefined, sizedFor: before };
  const shown = ({ resources, allocatedResources }: PodStatus): unknown => ({ resources, allocatedResources });
  expect(shown(derive({ spec, facts: { runtime: runtime(container('a')), resize } }))).toEqual({
    resources: { requests: { cpu: '100m', memory: '32Mi' }, limits: { cpu: '100m' } },
    allocatedResources: { cpu: '200m', memory: '32Mi', 'example.com/x': '1' },
  });
  const pending = { prepared: false, volumesMounted: false, volumesPresent: false };
  expect(shown(derive({ spec, facts: pending }))).toEqual({
    resources: { requests: { cpu: '200m', memory: '32Mi', 'example.com/x': '1' }, limits: { cpu: '200m' } },
    allocatedResources: { cpu: '200m', memory: '32Mi', 'example.com/x': '1' },
  });
});

test('a whole status: a pod of which nothing is there yet', () => {
  const facts = { prepared: false, volumesMounted: false, volumesPresent: false };
  expect(derive({ spec: two, facts })).toEqual({
    phase: 'Pending',
    qosClass: 'BestEffort',
    startTime: time,
    conditions: [
      { type: 'PodReadyToStartContainers', status: 'False', lastTransitionTime: time },
      { type: 'Initialized', status: 'True', lastTransitionTime: time },
      ...['Ready', 'ContainersReady'].map((type) => ({
        type,
        status: 'False',
        lastTransitionTime: time,
        reason: 'ContainersNotReady',
        message: 'containers with unready status: [b a]',
      })),
      { type: 'PodScheduled', status: 'True', lastTransitionTime: time },
    ],
    hostIP: '192.0.2.1',
    hostIPs: [{ ip: '192.0.2.1' }],
    containerStatuses: ['a', 'b'].map((name) => ({
      name,
      image: `${name}:1`,
      imageID: '',
      ready: false,
      started: false,
      restartCount: 0,
      state: { waiting: { reason: 'ContainerCreating' } },
      lastState: {},
    })),
  });
});

test('nobody is told anything of a pod that nobody desires', () => {
  expect(deriveStatus(undefined, testFacts(), planPod(undefined, testFacts(), testPolicy, now), now)).toBeUndefined();
});

test('the very object of the last pass comes back when nothing changed', () => {
  const facts = { runtime: runtime(container('a')) };
  const lastReported = derive({ spec: one, facts });
  expect(derive({ spec: one, facts: { ...facts, lastReported } })).toBe(lastReported);
  expect(sameStatus(lastReported, { ...lastReported, message: undefined })).toBe(true);
  expect(sameStatus(lastReported, { ...lastReported, message: 'x' })).toBe(false);
});

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

describe('addresses', () => {
  test('one of each family, that of the node first', () => {
    const sandbox = testSandbox({ ips: ['10.0.0.2', 'fd00::2', '10.0.0.3'] });
    const facts = { runtime: { sandboxes: [sandbox], containers: [] }, hostIps: ['fd00::1', '192.0.2.1'] };
    expect(derive({ spec: one, facts })).toMatchObject({
      podIP: 'fd00::2',
      podIPs: [{ ip: 'fd00::2' }, { ip: '10.0.0.2' }],
      hostIPs: [{ ip: 'fd00::1' }, { ip: '192.0.2.1' }],
    });
  });

  test('those of the last sandbox stay while there is none', () => {
    const lastReported = { podIP: '10.0.0.9', podIPs: [{ ip: '10.0.0.9' }] };
    expect(derive({ spec: one, facts: { runtime: stopped(), lastReported } })).toMatchObject(lastReported);
  });

  test('with the network of the host they never change, but may become two', () => {
    const spec = { ...one, hostNetwork: true };
    const lastReported = { podIP: '192.0.2.7', podIPs: [{ ip: '192.0.2.7' }] };
    const facts = { runtime: { sandboxes: [testSandbox({ hostNetwork: true, ips: [] })], containers: [] } };
    expect(derive({ spec, facts: { ...facts, lastReported, hostIps: ['192.0.2.1', 'fd00::1'] } }).podIPs).toEqual([
      { ip: '192.0.2.7' },
      { ip: 'fd00::1' },
    ]);
    expect(derive({ spec, facts }).podIPs).toEqual([{ ip: '192.0.2.1' }]);
  });
});

function reported(fields: Partial<ContainerStatus>): ContainerStatus {
  return { name: 'a', image: 'a:1', imageID: '', ready: false, restartCount: 0, ...fields };
}
