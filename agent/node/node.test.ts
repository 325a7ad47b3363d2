import { expect, test } from 'vitest';
import { systemClock } from '../../base/clock.js';
import { nodeConditions, type Readiness } from './node-conditions.js';
import { nodeCapacity, podCapacity } from './node-capacity.js';
import { LiveConditions } from './live-conditions.js';
import { nodeImages } from './node-images.js';
import type { HostFacts } from './host-facts.js';

const fine: Readiness = {
  runtime: { ready: true, message: '' },
  network: { ready: true, message: '' },
  shuttingDown: false,
  problems: [],
};
const short = (readiness: Readiness, pressures: Parameters<typeof nodeConditions>[0] = new Set()): string[] =>
  nodeConditions(pressures, readiness, [], 0).map(({ type, status, reason }) => `${type} ${status} ${reason}`);

test('Ready comes last, and a pressure is told by its own reason', () => {
  expect(short(fine, new Set(['DiskPressure']))).toEqual([
    'MemoryPressure False KubeletHasSufficientMemory',
    'DiskPressure True KubeletHasDiskPressure',
    'PIDPressure False KubeletHasSufficientPID',
    'Ready True KubeletReady',
  ]);
});

test('all that keeps the node from being ready is in one message', () => {
  const network = { ready: false, message: 'no configuration' };
  const ready = nodeConditions(new Set(), { ...fine, network, shuttingDown: true }, [], 0).at(-1);
  expect(ready).toMatchObject({
    status: 'False',
    reason: 'KubeletNotReady',
    message: 'container runtime network not ready: no configuration, node is shutting down',
  });
});

test('a condition that stays keeps its time, one that turns gets a new one', () => {
  const before = nodeConditions(new Set(), fine, [], 0);
  const after = nodeConditions(new Set(['MemoryPressure']), { ...fine, shuttingDown: true }, before, 60_000);
  expect(after.map(({ lastTransitionTime }) => lastTransitionTime)).toEqual([
    '1970-01-01T00:01:00Z',
    '1970-01-01T00:00:00Z',
    '1970-01-01T00:00:00Z',
    '1970-01-01T00:01:00Z',
  ]);
});

test('conditions turn when they change, not when somebody asks, and are told once', () => {
  let now = 0;
  const pressures = new Set<'MemoryPressure'>();
  const turns: string[] = [];
  const live = new LiveConditions({
    clock: { ...systemClock, now: () => now },
    pressures: () => pressures,
    readiness: () => fine,
    turned: (before, after) =>
      void turns.push(...after.filter((each, n) => each.status !== before[n]?.status).map(({ type }) => type)),
  });
  expect(turns).toEqual([]);
  now = 60_000;
  pressures.add('MemoryPressure');
  live.changed();
  now = 120_000;
  live.changed();
  expect(live.current[0]).toMatchObject({
    type: 'MemoryPressure',
    status: 'True',
    lastTransitionTime: '1970-01-01T00:01:00Z',
  });
  expect(turns).toEqual(['MemoryPressure']);
});

test('capacity names huge pages of every size, and disk where there is any', () => {
  const host = {
    cpus: 4,
    memoryBytes: 2 ** 30,
    hugepageSizes: ['1Gi', '2Mi'],
    hugepages: { '2Mi': 2 ** 22 },
    rootBytes: 2 ** 20,
  } as unknown as HostFacts;
  expect(nodeCapacity(host, 110)).toEqual({
    cpu: '4',
    memory: '1048576Ki',
    pods: '110',
    'ephemeral-storage': '1024Ki',
    'hugepages-1Gi': '0',
    'hugepages-2Mi': '4194304',
  });
  expect([podCapacity(110, 0, 2), podCapacity(110, 10, 2)]).toEqual([110, 20]);
});

test('the largest images, digests first, none without a name', () => {
  const images = [
    { size: 1, repoTags: ['small:1'] },
    { size: 3, repoTags: ['big:1'], repoDigests: ['big@sha256:a'] },
    { size: 2, repoTags: [] },
  ];
  expect(nodeImages(images, 1)).toEqual([{ names: ['big@sha256:a', 'big:1'], sizeBytes: 3 }]);
  expect(nodeImages(images, -1)).toHaveLength(2);
});
