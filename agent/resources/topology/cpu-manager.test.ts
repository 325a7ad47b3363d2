import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { podUidOf } from '../../api/index.js';
import { CpuManager, type CpuManagerOptions } from './cpu-manager.js';
import { formatCpuSet } from './cpu-set.js';
import type { MachineTopology } from './machine-topology.js';
import { machine, guaranteed, cpuOptions } from './topology-fixtures.js';

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
    ['evenly but for one', { evenly: true }, 9, '1-2,4-6,9-10,12-13'],
    ['evenly in whole cores but for one', { evenly: true, fullCores: true }, 10, '1-2,4-6,9-10,12-14'],
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
