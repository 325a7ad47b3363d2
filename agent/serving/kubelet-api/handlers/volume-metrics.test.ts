import { expect, test } from 'vitest';
import type { Summary } from '../../../stats/index.js';
import { volumeMetrics } from './volume-metrics.js';

const usage = (name: string, usedBytes: number, claim?: string): object => ({
  ...{ name, usedBytes, capacityBytes: 100, availableBytes: 100 - usedBytes, inodes: 9, inodesFree: 5, inodesUsed: 4 },
  ...(claim !== undefined && { pvcRef: { namespace: 'n', name: claim } }),
});

test('claims are told once, whichever of their pods was looked at; volumes without one are not', () => {
  const pods = [
    { volume: [usage('a', 40, 'data'), usage('b', 1)] },
    { volume: [usage('other', 40, 'data'), usage('c', 60, 'more')] },
    {},
  ] as unknown as Summary['pods'];
  const all = volumeMetrics({ pods });
  expect(all.map(({ name }) => name)).toEqual([
    ...['capacity_bytes', 'available_bytes', 'used_bytes', 'inodes', 'inodes_free', 'inodes_used'].map(
      (each) => `kubelet_volume_stats_${each}`,
    ),
  ]);
  expect(all[2]?.values.map(({ labels, value }) => [labels['persistentvolumeclaim'], value])).toEqual([
    ['data', 40],
    ['more', 60],
  ]);
  expect(volumeMetrics({ pods: [] })).toEqual([]);
});
