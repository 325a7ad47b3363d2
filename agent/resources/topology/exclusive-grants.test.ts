import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import { podUidOf, type Pod, type PodUid } from '../../api/index.js';
import type { GrantOutcome } from '../../executors/executor-deps.js';
import { CpuManager, type CpuManagerState } from './cpu-manager.js';
import { ExclusiveCounts } from './exclusive-counts.js';
import { ExclusiveGrants } from './exclusive-grants.js';
import { KubeletCheckpoint } from './kubelet-checkpoint.js';
import type { MachineTopology } from './machine-topology.js';
import type { TopologyPolicy } from './merge-hints.js';
import { cpuStateChecksum } from './state-checksums.js';
import { TopologyManager } from './topology-manager.js';

const { signal } = new AbortController();
const none: ReadonlySet<string> = new Set();
/** Two nodes of four CPUs, two threads a core. */
const machine: MachineTopology = {
  cpus: Array.from({ length: 8 }, (_, id) => {
    return { id, core: Math.floor(id / 2), socket: 0, numaNode: Math.floor(id / 4), uncoreCache: 0 };
  }),
  numaNodes: [0, 1].map((id) => ({ id, memory: new Map(), distances: [10, 20] })),
};
const podOf = (name: string, ...counts: number[]): Pod => ({
  metadata: { name, uid: name },
  spec: {
    containers: counts.map((cpu, n) => {
      const amounts = { cpu: String(cpu), memory: '1Mi' };
      return { name: `c${n}`, resources: { requests: amounts, limits: amounts } };
    }),
  },
});

let dir = '';
beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'berth-exclusive-'))));
afterEach(() => rm(dir, { recursive: true, force: true }));

function open({
  policy = 'none',
  fullCores = false,
  devices = () => Promise.resolve({ kind: 'granted' }),
}: {
  policy?: TopologyPolicy;
  fullCores?: boolean;
  devices?: (grants: ExclusiveGrants, pod: Pod) => Promise<GrantOutcome>;
} = {}) {
  const options = { strictReservation: false, evenly: false, bySocket: false, alignToCache: false };
  const manager = new CpuManager(machine, { ...options, reserved: new Set([0]), fullCores, spreadOverCores: false });
  const path = join(dir, 'cpu_manager_state');
  const ending: { pod: Pod; until: number }[] = [];
  const woken: PodUid[] = [];
  let moved = 0;
  const merge = { policy, preferClosest: false, nodes: [0, 1], distance: () => 10, scope: 'container' as const };
  const counts = new ExclusiveCounts({ machine, cpu: manager, topology: merge, wholeCores: fullCores });
  const grants: ExclusiveGrants = new ExclusiveGrants({
    clock: systemClock,
    log: silentLogger,
    devices: {
      allocate: (pod) => devices(grants, pod),
      prepareClaims: () => Promise.resolve(),
      preStart: () => Promise.resolve(),
      release: () => Promise.resolve(),
      waitOf: () => undefined,
    },
    topology: new TopologyManager(merge, [manager]),
    cpu: { manager, file: new KubeletCheckpoint<CpuManagerState>(path, 'CPU manager', cpuStateChecksum) },
    memory: undefined,
    counts,
    ending: () => ending,
    wake: (uid) => void woken.push(uid),
    sharedChanged: () => void moved++,
  });
  /** Series that are not 0, as `name labels = value`. */
  const counted = (): string[] =>
    counts.all
      .flatMap((each) => each.snapshot().values)
      .filter(({ metricName, value }) => value !== 0 && !/_duration_ms_(bucket|sum)$/.test(metricName))
      .map(({ metricName, labels, value }) =>
        [metricName.replace('kubelet_', ''), ...Object.values(labels), '=', value].join(' '),
      );
  return { grants, manager, ending, woken, path, counted, moves: () => moved };
}

test('whole CPUs of a Guaranteed pod are its own, written down, and others move', async () => {
  const { grants, path, moves } = open();
  const pod = podOf('p', 2);
  expect(await grants.allocate(pod, none, signal)).toEqual({ kind: 'granted' });
  expect(grants.placeOf(pod, 'c0')).toEqual({ cpus: '2-3', mems: '', exclusive: true });
  expect(grants.placeOf(podOf('q'), 'c0')).toEqual({ cpus: '0-1,4-7', mems: '', exclusive: false });
  expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ entries: { p: { c0: '2-3' } } });
  expect(moves()).toBe(1);
  await grants.allocate(pod, none, signal);
  expect(moves()).toBe(1);
  await grants.release(podUidOf(pod), signal);
  expect(moves()).toBe(2);
  expect(await grants.present()).toEqual([]);
});

test.each<[string, Parameters<typeof open>[0], Pod, string, RegExp]>([
  [
    'too many',
    {},
    podOf('p', 8),
    'UnexpectedAdmissionError',
    /not enough cpus available to satisfy request: requested=8, available=7/,
  ],
  [
    'half a core',
    { fullCores: true },
    podOf('p', 3),
    'SMTAlignmentError',
    /requested 3 cpus not multiple cpus per core = 2/,
  ],
  [
    'more than a node has',
    { policy: 'single-numa-node' },
    podOf('p', 5),
    'TopologyAffinityError',
    /^Resources cannot be allocated with Topology locality$/,
  ],
])('%s: refused in the kubelet’s words, and nothing is held', async (_name, options, pod, reason, message) => {
  const { grants } = open(options);
  const outcome = await grants.allocate(pod, none, signal);
  expect(outcome).toMatchObject({ kind: 'refused', reason, message: expect.stringMatching(message) as string });
  expect(await grants.present()).toEqual([]);
});

test('a container that cannot be placed takes those before it with it', async () => {
  const { grants } = open();
  expect((await grants.allocate(podOf('p', 4, 4), none, signal)).kind).toBe('refused');
  expect(await grants.present()).toEqual([]);
});

test('devices are asked with the nodes of their container, and what they refuse frees the CPUs', async () => {
  const asked: unknown[] = [];
  const { grants } = open({
    policy: 'single-numa-node',
    devices: (own, pod) => {
      asked.push(own.affinity(pod, 'c1'), own.affinity(pod, 'c0'));
      return Promise.resolve({ kind: 'refused', reason: 'UnexpectedAdmissionError', message: 'no device' });
    },
  });
  const outcome = await grants.allocate(podOf('p', 2, 4), none, signal);
  expect(outcome).toMatchObject({ kind: 'refused', message: 'no device' });
  expect(asked).toEqual([[1], [0]]);
  expect(await grants.present()).toEqual([]);
});

test('a pod that runs is not ended for want of what nobody remembers', async () => {
  const { grants } = open();
  expect(await grants.allocate(podOf('p', 8), new Set(['c0']), signal)).toEqual({ kind: 'granted' });
  expect(grants.placeOf(podOf('p', 8), 'c0').exclusive).toBe(false);
});

test('one that takes the place of a pod that ends waits for it', async () => {
  const { grants, ending, woken } = open();
  const old = podOf('old', 6);
  const heir = podOf('heir', 6);
  await grants.allocate(old, none, signal);
  ending.push({ pod: old, until: Date.now() + 1000 });
  expect(await grants.allocate(heir, none, signal)).toEqual({ kind: 'waiting' });
  expect(grants.waitOf(podUidOf(heir))?.reason).toMatch(/pods that are ending give back theirs: old$/);
  await grants.release(podUidOf(old), signal);
  expect(woken).toEqual(['heir']);
  expect(await grants.allocate(heir, none, signal)).toEqual({ kind: 'granted' });
  expect(grants.waitOf(podUidOf(heir))).toBeUndefined();
});

test('what is asked for, refused and held is counted under the kubelet’s names', async () => {
  const { grants, counted } = open({ policy: 'single-numa-node', fullCores: true });
  await grants.allocate(podOf('p', 2), none, signal);
  await grants.allocate(podOf('odd', 1), none, signal);
  await grants.allocate(podOf('wide', 6), none, signal);
  await grants.allocate(podOf('p', 2), new Set(['c0']), signal);
  expect(counted()).toEqual([
    'topology_manager_admission_requests_total = 3',
    'topology_manager_admission_errors_total = 2',
    'topology_manager_admission_duration_ms_count = 3',
    'container_aligned_compute_resources_count container numa_node = 3',
    'container_aligned_compute_resources_count container physical_cpu = 1',
    'container_aligned_compute_resources_failure_count container numa_node = 1',
    'container_aligned_compute_resources_failure_count container physical_cpu = 1',
    'cpu_manager_pinning_requests_total = 2',
    'cpu_manager_pinning_errors_total = 1',
    'resource_manager_allocations_total cpu node = 1',
    'resource_manager_allocation_errors_total cpu node = 1',
    'resource_manager_container_assignments cpu node_exclusive = 1',
    'cpu_manager_shared_pool_size_millicores = 5000',
    'cpu_manager_exclusive_cpu_allocation_count = 2',
    'cpu_manager_allocation_per_numa 0 = 2',
  ]);
  await grants.release(podUidOf(podOf('p', 2)), signal);
  expect(counted()).toContain('cpu_manager_shared_pool_size_millicores = 7000');
});
