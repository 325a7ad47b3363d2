import { expect, test } from 'vitest';
import { podUidOf } from '../../api/index.js';
import { CpuManager } from './cpu-manager.js';
import { formatCpuSet } from './cpu-set.js';
import { MemoryManager } from './memory-manager.js';
import { machine, guaranteed, cpuOptions } from './topology-fixtures.js';
import { TopologyManager } from './topology-manager.js';

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

test('with scope pod, a pod that has what it asks for keeps it when it is asked for again', () => {
  const topology = machine(2, 4);
  const cpus = new CpuManager(topology, cpuOptions);
  const memory = new MemoryManager(topology, new Map());
  const pod = guaranteed('p', { a: 4, b: 4 }, '3Gi', { first: 2 });
  const settle = (): string => {
    const merge = { policy: 'single-numa-node', preferClosest: false, nodes: [0, 1], distance: () => 10 } as const;
    const manager = new TopologyManager({ ...merge, scope: 'pod' }, [cpus, memory]);
    manager.settleAll(pod, (container, nodes) => {
      cpus.allocate(pod, container, nodes);
      memory.allocate(pod, container, nodes);
    });
    return ['first', 'a', 'b'].map((name) => manager.affinity(podUidOf(pod), name)?.join()).join(' ');
  };
  expect(settle()).toBe('1 1 1');
  const held = [cpus.state(), memory.state()];
  // As after a restart of the agent or the machine: nothing is left on its node for another of its size.
  expect(settle()).toBe('1 1 1');
  expect([cpus.state(), memory.state()]).toEqual(held);
});
