import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { podUidOf, type Pod } from '../../api/index.js';
import { CpuManager, type CpuManagerOptions, type CpuManagerState } from './cpu-manager.js';
import { formatCpuSet, parseCpuSet } from './cpu-set.js';
import type { ResourceHints, TopologyHint } from './hints.js';
import { KubeletCheckpoint } from './kubelet-checkpoint.js';
import { readMachineTopology, type MachineTopology } from './machine-topology.js';
import { MemoryManager } from './memory-manager.js';
import { mergeHints, type MergeOptions } from './merge-hints.js';
import { cpuStateChecksum, memoryStateChecksum } from './state-checksums.js';
import { TopologyManager } from './topology-manager.js';

const gibi = 2 ** 30;

/** Sockets with one NUMA node each, cores with two threads numbered as Linux does: first all first threads. */
function machine(sockets: number, coresEach: number): MachineTopology {
  const cores = sockets * coresEach;
  return {
    cpus: Array.from({ length: cores * 2 }, (_, id) => {
      const core = id % cores;
      const socket = Math.floor(core / coresEach);
      return { id, core, socket, numaNode: socket, uncoreCache: Math.floor(core / 2) };
    }),
    numaNodes: Array.from({ length: sockets }, (_, id) => ({
      id,
      memory: new Map([['memory', 8 * gibi]]),
      distances: Array.from({ length: sockets }, (_unused, other) => (other === id ? 10 : 20)),
    })),
  };
}

const guaranteed = (
  name: string,
  cpus: Record<string, number>,
  memory = '1Gi',
  init: Record<string, number> = {},
): Pod => {
  const containers = (counts: Record<string, number>) =>
    Object.entries(counts).map(([container, cpu]) => {
      const amounts = { cpu: String(cpu), memory };
      return { name: container, resources: { requests: amounts, limits: amounts } };
    });
  return { metadata: { name, uid: name }, spec: { containers: containers(cpus), initContainers: containers(init) } };
};

const cpuOptions: CpuManagerOptions = {
  reserved: new Set([0]),
  strictReservation: false,
  evenly: false,
  bySocket: false,
  fullCores: false,
  alignToCache: false,
  spreadOverCores: false,
};

test('CPU sets are written as the kernel does', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(200)), (cpus) => {
      expect(parseCpuSet(formatCpuSet(cpus))).toEqual([...cpus].sort((a, b) => a - b));
    }),
  );
  expect(formatCpuSet([3, 0, 1, 2, 7])).toBe('0-3,7');
  expect(() => parseCpuSet('3-1')).toThrow('runs backwards');
});

test('this machine can be read', async () => {
  const topology = await readMachineTopology();
  expect(topology.cpus.length).toBeGreaterThan(0);
  expect(topology.numaNodes.length).toBeGreaterThan(0);
});

describe('static CPU policy', () => {
  const grant = (more: Partial<CpuManagerOptions>, count: number, topology = machine(2, 4)): string => {
    const manager = new CpuManager(topology, { ...cpuOptions, ...more });
    const pod = guaranteed('p', { c: count });
    manager.allocate(pod, 'c', undefined);
    return formatCpuSet(manager.cpusOf(podUidOf(pod), 'c'));
  };

  test.each([
    ['a socket that is free as a whole', {}, 8, '4-7,12-15'],
    ['whole cores on the fuller socket', {}, 4, '1-2,9-10'],
    ['the thread whose core is broken already', {}, 1, '8'],
    ['evenly over nodes where one is too small', { evenly: true, reserved: new Set([0, 8]) }, 12, '1-6,9-14'],
    ['a whole cache', { alignToCache: true }, 4, '2-3,10-11'],
    ['one thread of each core', { spreadOverCores: true }, 4, '1-3,8'],
  ])('%s', (_name, more, count, expected) => expect(grant(more, count)).toBe(expected));

  test('whole cores only: what is not a multiple is refused', () => {
    expect(() => grant({ fullCores: true }, 3)).toThrow(
      'SMT Alignment Error: requested 3 cpus not multiple cpus per core = 2',
    );
    expect(grant({ fullCores: true }, 2)).toBe('1,9');
    // CPU 0 is kept for the machine: its sibling is nobody's.
    expect(() => grant({ fullCores: true, reserved: new Set([0]) }, 4, machine(1, 2))).toThrow(
      'SMT Alignment Error: not enough free physical CPUs: available physical CPUs = 2, requested CPUs = 4, CPUs per core = 2',
    );
    expect(grant({ fullCores: true, reserved: new Set([0]) }, 2, machine(1, 2))).toBe('1,3');
  });

  test('more than there are is refused, and the shared ones are the rest', () => {
    const manager = new CpuManager(machine(1, 2), cpuOptions);
    const pod = guaranteed('p', { c: 2 });
    manager.allocate(pod, 'c', undefined);
    expect(formatCpuSet(manager.shared())).toBe('0,2');
    expect(() => manager.allocate(guaranteed('q', { c: 2 }), 'c', undefined)).toThrow('requested=2, available=1');
    manager.release(podUidOf(pod));
    expect(formatCpuSet(manager.shared())).toBe('0-3');
  });

  test('an init container hands its CPUs on, a pod that shares gets none of its own', () => {
    const manager = new CpuManager(machine(1, 4), cpuOptions);
    const pod = guaranteed('p', { c: 4 }, '1Gi', { setup: 4 });
    manager.allocate(pod, 'setup', undefined);
    manager.allocate(pod, 'c', undefined);
    expect(manager.cpusOf(podUidOf(pod), 'c')).toEqual(manager.cpusOf(podUidOf(pod), 'setup'));
    const sharing = { metadata: { uid: 's' }, spec: { containers: [{ name: 'c' }] } };
    manager.allocate(sharing, 'c', undefined);
    expect(manager.isExclusive(podUidOf(sharing), 'c')).toBe(false);
  });

  test('no CPU is ever given twice, and the state restores to itself', () => {
    const requests = fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 8 });
    fc.assert(
      fc.property(requests, fc.boolean(), (counts, evenly) => {
        const manager = new CpuManager(machine(2, 4), { ...cpuOptions, evenly });
        const given: number[] = [];
        counts.forEach((count, n) => {
          const pod = guaranteed(`p${n}`, { c: count });
          try {
            manager.allocate(pod, 'c', undefined);
          } catch {
            return;
          }
          const cpus = manager.cpusOf(podUidOf(pod), 'c');
          expect(cpus).toHaveLength(count);
          given.push(...cpus);
        });
        expect(new Set(given).size).toBe(given.length);
        expect(given).not.toContain(0);
        const restored = new CpuManager(machine(2, 4), cpuOptions);
        restored.restore(manager.state());
        expect(restored.state()).toEqual(manager.state());
      }),
    );
  });

  test('hints name the nodes that have enough free, preferred the fewest', () => {
    const manager = new CpuManager(machine(2, 4), cpuOptions);
    expect(manager.hints(guaranteed('p', { c: 8 }), 'c').get('cpu')).toEqual([
      { numaNodes: [1], preferred: true },
      { numaNodes: [0, 1], preferred: false },
    ]);
  });
});

describe('merging hints', () => {
  const options = (policy: MergeOptions['policy'], nodes = [0, 1]): MergeOptions => ({
    policy,
    preferClosest: false,
    nodes,
    distance: (a, b) => (a === b ? 10 : 20),
  });
  const both: TopologyHint = { numaNodes: [0, 1], preferred: false };
  const only = (node: number, preferred = true): TopologyHint => ({ numaNodes: [node], preferred });
  const cpu = (...hints: TopologyHint[]): ResourceHints => new Map([['cpu', hints]]);
  const gpu = (...hints: TopologyHint[]): ResourceHints => new Map([['gpu', hints]]);

  test.each([
    ['they agree', 'restricted', [cpu(only(0), only(1), both), gpu(only(1), both)], [1], true],
    ['they disagree, restricted', 'restricted', [cpu(only(0), both), gpu(only(1), both)], [0], false],
    ['they disagree, best effort', 'best-effort', [cpu(only(0), both), gpu(only(1), both)], [0], true],
    ['one has no preference', 'single-numa-node', [cpu(only(1)), new Map()], [1], true],
    ['one cannot serve at all', 'single-numa-node', [cpu(only(1)), gpu()], undefined, false],
    ['two nodes are needed, single node', 'single-numa-node', [cpu({ ...both, preferred: true })], undefined, false],
    ['two nodes are needed, restricted', 'restricted', [cpu({ ...both, preferred: true })], [0, 1], true],
    ['nobody asks', 'restricted', [new Map()], [0, 1], true],
    ['policy none', 'none', [gpu()], undefined, true],
  ] as const)('%s', (_name, policy, providers, numaNodes, admit) => {
    expect(mergeHints(providers, options(policy))).toEqual({ numaNodes, admit });
  });

  test('with prefer-closest-numa-nodes two near nodes win over two far ones', () => {
    const near = {
      ...options('best-effort', [0, 1, 2, 3]),
      preferClosest: true,
      distance: (a: number, b: number) => (a === b ? 10 : a + b === 5 ? 12 : 30),
    };
    const pair = (a: number, b: number): TopologyHint => ({ numaNodes: [a, b], preferred: true });
    expect(mergeHints([cpu(pair(0, 1), pair(2, 3))], near).numaNodes).toEqual([2, 3]);
  });

  test('eight nodes and four providers are merged in a moment', () => {
    const nodes = [0, 1, 2, 3, 4, 5, 6, 7];
    const every = Array.from({ length: 255 }, (_, n): TopologyHint => {
      const numaNodes = nodes.filter((node) => ((n + 1) & (1 << node)) !== 0);
      return { numaNodes, preferred: numaNodes.length === 1 };
    });
    const times = Array.from({ length: 3 }, () => {
      const start = performance.now();
      expect(
        mergeHints([cpu(...every), gpu(...every), cpu(...every), gpu(...every)], options('restricted', nodes)),
      ).toEqual({ numaNodes: [0], admit: true });
      return performance.now() - start;
    });
    // The best of them: the machine is shared.
    expect(Math.min(...times)).toBeLessThan(2000);
  });

  test('what is admitted under restricted is a set every provider named as preferred', () => {
    const hint = fc.record({
      numaNodes: fc.uniqueArray(fc.integer({ min: 0, max: 2 }), { minLength: 1 }),
      preferred: fc.boolean(),
    });
    const lists = fc.array(fc.array(hint, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(lists, (drawn) => {
        const sorted = drawn.map((list) =>
          list.map((each) => ({ ...each, numaNodes: each.numaNodes.sort((a, b) => a - b) })),
        );
        const { numaNodes, admit } = mergeHints(
          sorted.map((list) => cpu(...list)),
          options('restricted', [0, 1, 2]),
        );
        const agrees = (nodes: readonly number[]): boolean =>
          sorted.every((list) => list.some((each) => each.preferred && each.numaNodes.join() === nodes.join()));
        const possible = [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]].some(agrees);
        expect(admit).toBe(possible);
        if (admit) expect(agrees(numaNodes ?? [])).toBe(true);
      }),
    );
  });
});

describe('static memory policy', () => {
  const reserved = new Map([[0, new Map([['memory', 2 * gibi]])]]);

  test('memory comes from the nodes asked for, and the table adds up', () => {
    const manager = new MemoryManager(machine(2, 2), reserved);
    const pod = guaranteed('p', { c: 1 }, '6Gi');
    manager.allocate(pod, 'c', [1]);
    expect(manager.nodesOf(podUidOf(pod), 'c')).toEqual([1]);
    expect(manager.state().machineState['1']?.memoryMap['memory']).toEqual({
      total: 8 * gibi,
      systemReserved: 0,
      allocatable: 8 * gibi,
      reserved: 6 * gibi,
      free: 2 * gibi,
    });
    expect(manager.hints(guaranteed('q', { c: 1 }, '5Gi'), 'c').get('memory')).toEqual([
      { numaNodes: [0], preferred: true },
    ]);
    expect(() => manager.allocate(guaranteed('q', { c: 1 }, '7Gi'), 'c', undefined)).toThrow(
      'failed to find NUMA nodes',
    );
    const restored = new MemoryManager(machine(2, 2), reserved);
    restored.restore(manager.state());
    expect(restored.state()).toEqual(manager.state());
  });

  test('huge pages are part of the memory of their node, as in the state of the kubelet', () => {
    const pages = {
      id: 0,
      memory: new Map([
        ['memory', 6 * gibi],
        ['hugepages-1Gi', 2 * gibi],
      ]),
      distances: [10],
    };
    const manager = new MemoryManager({ cpus: [], numaNodes: [pages] }, reserved);
    const pod = guaranteed('p', { c: 1 }, '1Gi');
    Object.assign(pod.spec?.containers[0]?.resources?.limits ?? {}, { 'hugepages-1Gi': '1Gi' });
    manager.allocate(pod, 'c', [0]);
    const table = { reserved: gibi, systemReserved: 0 };
    expect(manager.state().machineState['0']?.memoryMap).toEqual({
      memory: { ...table, total: 8 * gibi, systemReserved: 2 * gibi, allocatable: 4 * gibi, free: 3 * gibi },
      'hugepages-1Gi': { ...table, total: 2 * gibi, allocatable: 2 * gibi, free: gibi },
    });
  });

  test('an init container hands its memory on, what stays beside it does not', () => {
    const manager = new MemoryManager(machine(1, 2), reserved);
    const pod = guaranteed('p', { c: 1 }, '3Gi', { first: 1, sidecar: 1, second: 1 });
    const sidecar = pod.spec?.initContainers?.[1];
    if (sidecar) sidecar.restartPolicy = 'Always';
    // Two at once of what six gibibytes hold; with one for each of the four there would be no place.
    expect(manager.hints(pod, undefined).get('memory')).toEqual([{ numaNodes: [0], preferred: true }]);
    for (const name of ['first', 'sidecar', 'second', 'c']) manager.allocate(pod, name, [0]);
    const sizes = ['first', 'sidecar', 'second', 'c'].map((name) => manager.blocksOf(podUidOf(pod), name)[0]?.size);
    expect(sizes).toEqual([0, 3 * gibi, 0, 3 * gibi]);
    expect(manager.state().machineState['0']?.memoryMap['memory']).toMatchObject({ reserved: 6 * gibi, free: 0 });
    expect(() => manager.allocate(guaranteed('q', { c: 1 }, '1Gi'), 'c', [0])).toThrow('failed to find NUMA nodes');
    const greedy = guaranteed('g', { c: 1 }, '4Gi', { sidecar: 1 });
    for (const each of greedy.spec?.initContainers ?? []) each.restartPolicy = 'Always';
    expect(manager.hints(greedy, undefined).get('memory')).toEqual([]);
  });
});

test('CPUs and memory of a container come from one node, of the whole pod with scope pod', () => {
  const topology = machine(2, 4);
  const settle = (scope: 'container' | 'pod'): string[] => {
    const cpus = new CpuManager(topology, cpuOptions);
    const memory = new MemoryManager(topology, new Map());
    const options = {
      policy: 'single-numa-node' as const,
      scope,
      preferClosest: false,
      nodes: [0, 1],
      distance: () => 10,
    };
    const manager = new TopologyManager(options, [cpus, memory]);
    const pod = guaranteed('p', { a: 4, b: 4 }, '3Gi');
    manager.settleAll(pod, (container, nodes) => {
      cpus.allocate(pod, container, nodes);
      memory.allocate(pod, container, nodes);
    });
    return ['a', 'b'].map(
      (name) => `${formatCpuSet(cpus.cpusOf(podUidOf(pod), name))} on ${memory.nodesOf(podUidOf(pod), name)?.join()}`,
    );
  };
  expect(settle('container')).toEqual(['1-2,9-10 on 0', '4-5,12-13 on 1']);
  const big = new CpuManager(topology, cpuOptions);
  const manager = new TopologyManager(
    { policy: 'single-numa-node', scope: 'container', preferClosest: false, nodes: [0, 1], distance: () => 10 },
    [big],
  );
  expect(() => manager.settle(guaranteed('x', { c: 9 }), 'c')).toThrow(
    'Resources cannot be allocated with Topology locality',
  );
});

test('a checkpoint has the kubelet shape; one that makes no sense is set aside', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-checkpoint-'));
  try {
    const path = join(folder, 'cpu_manager_state');
    const file = new KubeletCheckpoint<CpuManagerState>(path, 'CPU manager', cpuStateChecksum);
    const manager = new CpuManager(machine(1, 2), cpuOptions);
    manager.allocate(guaranteed('p', { c: 1 }), 'c', undefined);
    await file.write(manager.state());
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({
      policyName: 'static',
      defaultCpuSet: '0-1,3',
      entries: { p: { c: '2' } },
      checksum: expect.any(Number) as number,
    });
    const again = new CpuManager(machine(1, 2), cpuOptions);
    expect((await file.read(1, (state) => again.restore(state))).kind).toBe('read');
    expect(again.state()).toEqual(manager.state());
    await writeFile(path, '{"policyName":"static","defaultCpuSet":"0-9","entries":{"p":{"c":"77"}},"checksum":0}');
    const read = await file.read(2, (state) => again.restore(state));
    expect(read).toMatchObject({
      kind: 'set-aside',
      reason: expect.stringContaining('CPU 77 of container c is not on this machine') as string,
    });
    expect(await readdir(folder)).toEqual(['cpu_manager_state.corrupt-2']);
  } finally {
    await rm(folder, { recursive: true });
  }
});

describe('checksums are the kubelet’s', () => {
  // Files and numbers are those of the kubelet's own tests.
  test('of CPUs', () => {
    expect(
      cpuStateChecksum({
        policyName: 'none',
        defaultCpuSet: '1-3',
        entries: { pod: { container1: '4-6', container2: '1-3' } },
      }),
    ).toBe(3_610_638_499);
  });

  test('of memory', () => {
    const memory = { total: 2048, systemReserved: 512, allocatable: 1536, reserved: 512, free: 1024 };
    expect(
      memoryStateChecksum({
        policyName: 'static',
        machineState: { '0': { numberOfAssignments: 0, memoryMap: { memory }, cells: [] } },
        entries: { pod: { container1: [{ numaAffinity: [0], type: 'memory', size: 512 }] } },
      }),
    ).toBe(4_215_593_881);
  });
});

describe('a checkpoint', () => {
  test('of another policy is refused in the kubelet’s words, and left alone', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'berth-policy-'));
    try {
      const path = join(folder, 'cpu_manager_state');
      const state: CpuManagerState = { policyName: 'none', defaultCpuSet: '', entries: {} };
      const file = new KubeletCheckpoint<CpuManagerState>(path, 'CPU manager', cpuStateChecksum);
      await file.checkPolicy('static');
      await file.write(state);
      await expect(file.checkPolicy('static')).rejects.toThrow(
        `could not restore state from checkpoint: configured policy "static" differs from state checkpoint policy "none", please drain this node and delete the CPU manager checkpoint file "${path}" before restarting`,
      );
      expect(await readdir(folder)).toEqual(['cpu_manager_state']);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('that grants what is reserved now is refused as well; one that does not is read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'berth-reserved-'));
    try {
      const path = join(folder, 'cpu_manager_state');
      const file = new KubeletCheckpoint<CpuManagerState>(path, 'CPU manager', cpuStateChecksum);
      const before = new CpuManager(machine(1, 2), cpuOptions);
      before.allocate(guaranteed('p', { c: 1 }), 'c', undefined);
      const mine = before.cpusOf(podUidOf(guaranteed('p', {})), 'c')[0] ?? -1;
      await file.write(before.state());
      const now = (reserved: readonly number[]): CpuManager =>
        new CpuManager(machine(1, 2), { ...cpuOptions, reserved: new Set(reserved) });
      await expect(file.read(1, (state) => now([0, mine]).restore(state))).rejects.toThrow(
        `could not restore state from checkpoint: not all reserved cpus: "${formatCpuSet([0, mine])}" are present in defaultCpuSet: "${before.state().defaultCpuSet}" (${mine} belongs to container c of pod p; reserving other CPUs helps, too), please drain this node and delete the CPU manager checkpoint file "${path}" before restarting`,
      );
      expect(await readdir(folder)).toEqual(['cpu_manager_state']);
      const others = [0, 1, 2, 3].filter((cpu) => cpu !== mine);
      expect((await file.read(1, (state) => now(others).restore(state))).kind).toBe('read');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('with a wrong checksum is set aside', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'berth-checksum-'));
    try {
      const path = join(folder, 'cpu_manager_state');
      await writeFile(path, '{"policyName":"static","defaultCpuSet":"0-3","checksum":12}');
      const file = new KubeletCheckpoint<CpuManagerState>(path, 'CPU manager', cpuStateChecksum);
      expect(await file.read(3, () => {})).toMatchObject({ kind: 'set-aside', reason: 'checkpoint is corrupted' });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

test('aligned by socket: more nodes of one socket are as good as one', () => {
  // Two sockets of two nodes with four CPUs each.
  const topology: MachineTopology = {
    cpus: Array.from({ length: 16 }, (_, id) => {
      return { id, core: id, socket: Math.floor(id / 8), numaNode: Math.floor(id / 4), uncoreCache: 0 };
    }),
    numaNodes: [0, 1, 2, 3].map((id) => ({ id, memory: new Map(), distances: [10, 10, 10, 10] })),
  };
  const pod = guaranteed('p', { c: 3 });
  const preferredOf = (bySocket: boolean): string[] =>
    (new CpuManager(topology, { ...cpuOptions, bySocket }).hints(pod, 'c').get('cpu') ?? [])
      .filter(({ preferred }) => preferred)
      .map(({ numaNodes }) => (numaNodes ?? []).join());
  expect(preferredOf(false)).toEqual(['0', '1', '2', '3']);
  expect(preferredOf(true)).toEqual(['0', '1', '2', '3', '0,1', '2,3']);
  const manager = new CpuManager(topology, { ...cpuOptions, bySocket: true });
  manager.allocate(guaranteed('first', { c: 5 }), 'c', [0]);
  expect(manager.cpusOf(podUidOf(guaranteed('first', {})), 'c').every((cpu) => cpu < 8)).toBe(true);
});
