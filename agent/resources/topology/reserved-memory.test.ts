import { describe, expect, test } from 'vitest';
import type { ResourceList } from '../../api/index.js';
import type { MachineTopology } from './machine-topology.js';
import { checkReservedMemory } from './reserved-memory.js';

const mebi = 2 ** 20;
const machine: MachineTopology = {
  cpus: [],
  numaNodes: [0, 1].map((id) => ({ id, memory: new Map(), distances: [10, 20] })),
};
const capacity: ResourceList = { cpu: '4', memory: '4Gi', 'hugepages-2Mi': '64Mi', 'hugepages-1Gi': '0' };
/** 512Mi are kept for the machine, and what is set aside as huge pages is no memory. */
const allocatable: ResourceList = { cpu: '4', memory: '3520Mi', 'hugepages-2Mi': '64Mi', 'hugepages-1Gi': '0' };

const check = (...nodes: [number, Record<string, number>][]): void =>
  checkReservedMemory(new Map(nodes.map(([node, types]) => [node, new Map(Object.entries(types))])), machine, {
    capacity,
    allocatable,
  });

test('what the NUMA nodes keep is what the node keeps', () => {
  check([0, { memory: 512 * mebi }]);
  check([0, { memory: 300 * mebi }], [1, { memory: 212 * mebi }]);
});

describe('is refused', () => {
  test.each<[string, [number, Record<string, number>][], string]>([
    [
      'less than the node keeps',
      [[0, { memory: mebi }]],
      `make the memory of all reservedMemory together ${512 * mebi}`,
    ],
    ['more than the node keeps', [[0, { memory: 600 * mebi }]], 'is not equal to the value "536870912"'],
    [
      'a NUMA node that is not there',
      [[2, { memory: 512 * mebi }]],
      'NUMA node 2 that does not exist on this machine (it has 0, 1)',
    ],
    [
      'huge pages',
      [[0, { memory: 512 * mebi, 'hugepages-2Mi': 2 * mebi }]],
      'the total amount "2097152" of type "hugepages-2Mi" is not equal to the value "0"',
    ],
    [
      'huge pages of a size the kernel has not',
      [[0, { memory: 512 * mebi, 'hugepages-16Gi': mebi }]],
      'hugepages-16Gi (the kernel of this machine has no pages of that size)',
    ],
  ])('%s', (_name, nodes, message) => {
    expect(() => check(...nodes)).toThrow(message);
  });
});
