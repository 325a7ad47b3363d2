import { describe, expect, test } from 'vitest';
import { podUidOf } from '../../api/index.js';
import { MemoryManager } from './memory-manager.js';
import { gibi, machine, guaranteed } from './topology-fixtures.js';

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

  test('what one node has not is taken from it and others, not from others alone', () => {
    const manager = new MemoryManager(machine(4, 2), new Map());
    const pod = guaranteed('p', { c: 1 }, '10Gi');
    manager.allocate(pod, 'c', [2]);
    expect(manager.nodesOf(podUidOf(pod), 'c')).toEqual([0, 2]);
  });

  describe('memory and huge pages together', () => {
    const pages = (id: number) => ({
      id,
      memory: new Map([
        ['memory', 6 * gibi],
        ['hugepages-1Gi', gibi],
        ['hugepages-2Mi', 0],
      ]),
      distances: [10, 20],
    });
    const topology = { cpus: [], numaNodes: [pages(0), pages(1)] };
    const pod = guaranteed('p', { c: 1 }, '1Gi');
    for (const list of ['requests', 'limits'] as const)
      Object.assign(pod.spec?.containers[0]?.resources?.[list] ?? {}, { 'hugepages-1Gi': '2Gi' });

    test('come from the same nodes, as many as the scarcer needs', () => {
      const manager = new MemoryManager(topology, new Map());
      const both = [{ numaNodes: [0, 1], preferred: true }];
      expect([...manager.hints(pod, 'c')]).toEqual([
        ['memory', both],
        ['hugepages-1Gi', both],
      ]);
      manager.allocate(pod, 'c', undefined);
      expect(manager.blocksOf(podUidOf(pod), 'c')).toEqual([
        { numaAffinity: [0, 1], type: 'memory', size: gibi },
        { numaAffinity: [0, 1], type: 'hugepages-1Gi', size: 2 * gibi },
      ]);
    });

    test('of a size of which there is none nothing is told', () => {
      const types = new MemoryManager(topology, new Map()).allocatable().map(({ type }) => type);
      expect(types).toEqual(['memory', 'hugepages-1Gi', 'memory', 'hugepages-1Gi']);
    });

    test('of several nodes are taken from the first until it has no more, then from the next', () => {
      const manager = new MemoryManager(topology, new Map());
      const large = guaranteed('l', { c: 1 }, '8Gi');
      manager.allocate(large, 'c', [0, 1]);
      manager.allocate(guaranteed('m', { c: 1 }, '1Gi'), 'c', [0, 1]);
      const { machineState } = manager.state();
      const told = ['0', '1'].map((node) => machineState[node]?.memoryMap['memory']);
      expect(told).toMatchObject([
        { reserved: 6 * gibi, free: 0 },
        { reserved: 3 * gibi, free: 3 * gibi },
      ]);
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
