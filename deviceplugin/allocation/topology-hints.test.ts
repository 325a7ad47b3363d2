import { expect, test } from 'vitest';
import type { Device } from '../devices/device.js';
import { chooseDevices } from './choose-devices.js';
import { topologyHints, type HintInput } from './topology-hints.js';

const listOf = (nodes: readonly number[][]): HintInput['devices'] =>
  new Map(nodes.map((numaNodes, at) => [`d${at}`, { id: `d${at}`, healthy: true, numaNodes } satisfies Device]));

const all = (devices: HintInput['devices']): Set<string> => new Set(devices.keys());

test('no preference without NUMA nodes', () => {
  const devices = listOf([[], []]);
  expect(
    topologyHints({ count: 1, devices, available: all(devices), reusable: new Set(), machineNodes: [0, 1] }),
  ).toBeUndefined();
});

test.each<[string, number, number[][], string[] | undefined, string[], object[]]>([
  [
    'one device: one node is enough',
    1,
    [[0], [1]],
    undefined,
    [],
    [
      { numaNodes: [0], preferred: true },
      { numaNodes: [1], preferred: true },
      { numaNodes: [0, 1], preferred: false },
    ],
  ],
  ['two on different nodes: both nodes', 2, [[0], [1]], undefined, [], [{ numaNodes: [0, 1], preferred: true }]],
  [
    'preferred is what an empty machine could do, not what is left',
    2,
    [[0], [0], [1]],
    ['d0', 'd2'],
    [],
    [{ numaNodes: [0, 1], preferred: false }],
  ],
  ['too few: none', 3, [[0], [1]], undefined, [], []],
  [
    'reused devices must lie within',
    1,
    [[0], [1]],
    ['d1'],
    ['d0'],
    [
      { numaNodes: [0], preferred: true },
      { numaNodes: [0, 1], preferred: false },
    ],
  ],
  ['nodes the machine has not do not count', 1, [[0], [7]], undefined, [], [{ numaNodes: [0], preferred: true }]],
  [
    'a device near two nodes',
    1,
    [[0, 1]],
    undefined,
    [],
    [
      { numaNodes: [0], preferred: true },
      { numaNodes: [1], preferred: true },
      { numaNodes: [0, 1], preferred: false },
    ],
  ],
])('%s', (_name, count, nodes, available, reusable, expected) => {
  const devices = listOf(nodes);
  const hints = topologyHints({
    count,
    devices,
    available: available === undefined ? all(devices) : new Set(available),
    reusable: new Set(reusable),
    machineNodes: [0, 1],
  });
  expect(hints).toEqual(expected);
});

test('nodes without devices are not combined: 36 nodes cost no more than the two that matter', () => {
  const devices = listOf([[3], [17]]);
  const machineNodes = Array.from({ length: 36 }, (_, at) => at);
  expect(
    topologyHints({ count: 1, devices, available: all(devices), reusable: new Set(), machineNodes })?.map(
      (hint) => hint.numaNodes,
    ),
  ).toEqual([[3], [17], [3, 17]]);
});

test('hints and choice of 8 of 64 devices on 8 nodes take far less than 2 ms', () => {
  const devices = listOf(Array.from({ length: 64 }, (_, at) => [at % 8]));
  const machineNodes = [0, 1, 2, 3, 4, 5, 6, 7];
  const once = (): void => {
    const hints = topologyHints({ count: 8, devices, available: all(devices), reusable: new Set(), machineNodes });
    const affinity = hints?.find((hint) => hint.preferred)?.numaNodes;
    const choice = chooseDevices({
      count: 8,
      devices,
      inUse: new Set(),
      reusable: new Set(),
      affinity,
      preferred: 'none',
    });
    expect(choice.kind).toBe('chosen');
  };
  for (let warm = 0; warm < 20; warm++) once();
  const times: number[] = [];
  for (let round = 0; round < 50; round++) {
    const start = performance.now();
    once();
    times.push(performance.now() - start);
  }
  // The best of many: the machine is shared, and what is asked is what the work costs.
  expect(Math.min(...times)).toBeLessThan(2);
});
