import { expect, test } from 'vitest';
import type { Pod, PodUid } from '../api/index.js';
import type { NodeFilesystems, PodFilesystems } from './filesystem-usages.js';
import { localVolumeNames } from './local-volumes.js';
import type { PodUsage, UsageSnapshot } from './resource-monitor.js';
import { buildSummary } from './summary.js';
import type { CgroupUsage } from './usage.js';

const unknown: CgroupUsage = {
  ...{ at: 0, cpu: undefined, memory: undefined, swap: undefined, pressure: undefined },
  ...{ threads: undefined, processes: undefined, oomKills: undefined },
};
const disk = {
  ...{ at: 0, device: '/dev/vda', capacityBytes: 1000, availableBytes: 900, usedBytes: 100 },
  ...{ inodes: 50, inodesFree: 40, inodesUsed: 10 },
};
const node: NodeFilesystems = { nodefs: disk, imagefs: undefined, containerfs: undefined, layout: 'one' };

test('the ephemeral storage of a pod is what it takes of the disk: no volume in memory, none of a claim or a driver', () => {
  const pod: Pod = {
    metadata: { name: 'p', uid: 'p' },
    spec: {
      containers: [{ name: 'c' }],
      volumes: [
        { name: 'cache', emptyDir: {} },
        { name: 'settings', configMap: { name: 's' } },
        { name: 'tmp', emptyDir: { medium: 'Memory' } },
        { name: 'key', secret: { secretName: 'k' } },
        { name: 'token', projected: { sources: [] } },
        { name: 'inline', csi: { driver: 'd' } },
        { name: 'data', persistentVolumeClaim: { claimName: 'd' } },
      ],
    },
  };
  const taken = { at: 0, usedBytes: 10, inodesUsed: 1 };
  const own: PodFilesystems = {
    rootfs: new Map([['c', taken]]),
    logs: new Map([['c', taken]]),
    volumes: (pod.spec?.volumes ?? []).map(({ name, persistentVolumeClaim }) => ({
      ...{ volume: name, usedBytes: 100, capacityBytes: 1000, availableBytes: 900, inodes: 9, inodesUsed: 2 },
      claim: persistentVolumeClaim && { namespace: 'default', name: persistentVolumeClaim.claimName },
    })),
  };
  const uid = 'p' as PodUid;
  const usage: PodUsage = {
    pod: {
      ...{ uid, namespace: 'default', name: 'p', startedAt: 0, cgroup: '/p' },
      ...{ hostNetwork: true, cpuLimited: false, containers: [] },
    },
    ...{ usage: unknown, containers: [], network: undefined },
  };
  const snapshot: UsageSnapshot = {
    ...{ at: 0, node: unknown, nodeNetwork: [], system: [], bootedAt: 0, oomKills: 0 },
    ...{ rlimit: { maxPid: 10, processes: 1 }, pods: [usage] },
  };
  const { pods } = buildSummary({
    ...{ nodeName: 'n', memoryBytes: 1000, snapshot, filesystems: node },
    podFilesystems: () => own,
    localVolumes: () => localVolumeNames(pod),
  });
  expect(pods[0]?.['ephemeral-storage']).toMatchObject({ usedBytes: 220, inodesUsed: 6, capacityBytes: 1000 });
  expect(pods[0]?.volume?.map(({ name }) => name)).toHaveLength(7);
});
