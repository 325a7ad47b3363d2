import type { Pod } from '../../api/index.js';
import type { CpuManagerOptions } from './cpu-manager.js';
import type { MachineTopology } from './machine-topology.js';

// For the tests of CPUs and memory: machines with some nodes, and pods that are guaranteed what they ask for.

export const gibi = 2 ** 30;

/** Sockets with one NUMA node each, cores with two threads numbered as Linux does: first all first threads. */
export function machine(sockets: number, coresEach: number): MachineTopology {
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

export const guaranteed = (
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

export const cpuOptions: CpuManagerOptions = {
  reserved: new Set([0]),
  strictReservation: false,
  evenly: false,
  bySocket: false,
  fullCores: false,
  alignToCache: false,
  spreadOverCores: false,
};
