import { expect, test } from 'vitest';
import type { Pod, PodStatus } from '../api/index.js';
import { planPod } from '../podloop/plan/plan-pod.js';
import { testFacts, testPolicy, testStart as now } from '../podloop/pod-fixtures.js';
import { deriveStatus } from './derive-status.js';
import { sameStatus } from './same-status.js';
import { time, derive, container, runtime, one, two } from './status-fixtures.js';

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
