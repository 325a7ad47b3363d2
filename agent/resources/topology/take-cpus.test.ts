import { expect, test } from 'vitest';
import { formatCpuSet } from './cpu-set.js';
import type { MachineTopology } from './machine-topology.js';
import { takeCpus } from './take-cpus.js';

/** Four cores of two threads, numbered as Linux does: first all first threads; two cores to a cache. */
const machine: MachineTopology = {
  cpus: Array.from({ length: 8 }, (_, id) => ({
    ...{ id, core: id % 4, socket: 0, numaNode: 0 },
    uncoreCache: Math.floor((id % 4) / 2),
  })),
  numaNodes: [{ id: 0, memory: new Map(), distances: [10] }],
};

test.each([
  // Two caches of two cores each; of the first one core is taken.
  [2, true, '1,5'],
  [3, true, '2-3,6'],
  [3, false, '1-2,5'],
  [4, true, '2-3,6-7'],
  [5, true, '1-3,6-7'],
  [6, true, '1-3,5-7'],
])('%d CPUs, near one cache: %s', (count, alignToCache, expected) => {
  const options = { fullCores: false, spreadOverCores: false, alignToCache };
  const taken = takeCpus(machine, new Set([1, 2, 3, 5, 6, 7]), count, options);
  expect(formatCpuSet(taken ?? [])).toBe(expected);
});
