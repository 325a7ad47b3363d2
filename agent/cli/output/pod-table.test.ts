import { describe, expect, test } from 'vitest';
import type { ContainerStatus, PodStatus } from '../../api/index.js';
import { ageOf } from './age.js';
import { podRow, podState } from './pod-table.js';

const container = (change: Partial<ContainerStatus>): ContainerStatus => ({
  name: 'main',
  image: '',
  imageID: '',
  ready: false,
  restartCount: 0,
  ...change,
});
const running = container({ ready: true, state: { running: {} } });
const ended = (exitCode: number, reason?: string) => container({ state: { terminated: { exitCode, reason } } });
const waiting = (reason: string) => container({ state: { waiting: { reason } } });

describe('the STATUS column', () => {
  test.each<[string, PodStatus | undefined]>([
    ['Pending', undefined],
    ['Pending', { phase: 'Pending' }],
    ['ContainerCreating', { phase: 'Pending', containerStatuses: [waiting('ContainerCreating')] }],
    ['Running', { phase: 'Running', containerStatuses: [running] }],
    ['CrashLoopBackOff', { phase: 'Running', containerStatuses: [waiting('CrashLoopBackOff')] }],
    ['Completed', { phase: 'Succeeded', containerStatuses: [ended(0, 'Completed')] }],
    ['Error', { phase: 'Failed', containerStatuses: [ended(1, 'Error')] }],
    ['ExitCode:3', { phase: 'Failed', containerStatuses: [ended(3)] }],
    ['Running', { phase: 'Running', containerStatuses: [running, ended(0, 'Completed')] }],
    ['Evicted', { phase: 'Failed', reason: 'Evicted', containerStatuses: [ended(137, 'Error')] }],
    ['Init:0/2', { phase: 'Pending', initContainerStatuses: [running, waiting('PodInitializing')] }],
    ['Init:1/2', { phase: 'Pending', initContainerStatuses: [ended(0), waiting('PodInitializing')] }],
    ['Init:ErrImagePull', { phase: 'Pending', initContainerStatuses: [waiting('ErrImagePull')] }],
    ['Init:Error', { phase: 'Pending', initContainerStatuses: [ended(1, 'Error')] }],
  ])('%s', (expected, status) => expect(podState(false, status)).toBe(expected));

  test('a pod that was told to end', () => expect(podState(true, { phase: 'Running' })).toBe('Terminating'));

  test('a sidecar that started is through', () => {
    const status: PodStatus = {
      phase: 'Running',
      initContainerStatuses: [container({ started: true, state: { running: {} } })],
      containerStatuses: [running],
    };
    expect(podState(false, status, [{ restartPolicy: 'Always' }])).toBe('Running');
  });
});

test('sidecars count as containers, restarts say when', () => {
  const now = Date.parse('2026-01-01T01:00:00Z');
  const row = podRow(
    {
      uid: 'u',
      pod: {
        metadata: { name: 'app', namespace: 'shop', creationTimestamp: '2026-01-01T00:00:00Z' },
        spec: { nodeName: 'n1', containers: [{}], initContainers: [{}, { restartPolicy: 'Always' }] },
      },
      status: {
        phase: 'Running',
        podIP: '10.0.0.2',
        initContainerStatuses: [ended(0), container({ ready: true, started: true, state: { running: {} } })],
        containerStatuses: [
          container({
            restartCount: 2,
            state: { running: {} },
            lastState: { terminated: { exitCode: 1, finishedAt: '2026-01-01T00:55:00Z' } },
          }),
        ],
      },
      waits: [{ step: 'readiness-probe', object: 'container main' }],
    },
    now,
  );
  expect(row).toEqual({
    namespace: 'shop',
    name: 'app',
    ready: '1/2',
    status: 'Running',
    restarts: '2 (5m ago)',
    age: '60m',
    ip: '10.0.0.2',
    node: 'n1',
    waitingFor: 'container main (readiness-probe)',
  });
});

test.each([
  [-5, '0s'],
  [119, '119s'],
  [120, '2m'],
  [185, '3m5s'],
  [600, '10m'],
  [3 * 3600, '3h'],
  [5 * 3600 + 60, '5h1m'],
  [47 * 3600, '47h'],
  [50 * 3600, '2d2h'],
  [30 * 86_400, '30d'],
  [800 * 86_400, '2y70d'],
])('an age of %i seconds is %s', (seconds, expected) => expect(ageOf(seconds * 1000)).toBe(expected));
