import { expect, test } from 'vitest';
import { readMachineTopology } from './machine-topology.js';

test('this machine can be read', async () => {
  const topology = await readMachineTopology();
  expect(topology.cpus.length).toBeGreaterThan(0);
  expect(topology.numaNodes.length).toBeGreaterThan(0);
});
