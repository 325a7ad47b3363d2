import type { MetricSnapshot } from '../../metrics/accumulators.js';
import type { Summary } from '../../../stats/index.js';

type Usage = NonNullable<NonNullable<Summary['pods'][number]['volume']>[number]>;

const families: readonly (readonly [name: string, help: string, read: (usage: Usage) => number])[] = [
  ['capacity_bytes', 'Capacity in bytes of the volume', ({ capacityBytes }) => capacityBytes],
  ['available_bytes', 'Number of available bytes in the volume', ({ availableBytes }) => availableBytes],
  ['used_bytes', 'Number of used bytes in the volume', ({ usedBytes }) => usedBytes],
  ['inodes', 'Maximum number of inodes in the volume', ({ inodes }) => inodes],
  ['inodes_free', 'Number of free inodes in the volume', ({ inodesFree }) => inodesFree],
  ['inodes_used', 'Number of used inodes in the volume', ({ inodesUsed }) => inodesUsed],
];

/** How full the volumes of claims are, once per claim, whichever of its pods was looked at. */
export function volumeMetrics({ pods }: Pick<Summary, 'pods'>): MetricSnapshot[] {
  const claims = new Map<string, Usage>();
  for (const usage of pods.flatMap(({ volume = [] }) => volume)) {
    const { pvcRef } = usage;
    if (pvcRef) claims.set(`${pvcRef.namespace}/${pvcRef.name}`, usage);
  }
  if (claims.size === 0) return [];
  return families.map(([family, help, read]) => {
    const name = `kubelet_volume_stats_${family}`;
    const values = [...claims.values()].map((usage) => ({
      metricName: name,
      labels: { namespace: usage.pvcRef?.namespace ?? '', persistentvolumeclaim: usage.pvcRef?.name ?? '' },
      value: read(usage),
    }));
    return { name, help, type: 'gauge', values };
  });
}
