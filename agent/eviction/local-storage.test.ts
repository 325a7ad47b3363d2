import { describe, expect, test } from 'vitest';
import type { Pod, Volume } from '../api/index.js';
import { mebi } from './eviction-fixtures.js';
import { localStorageProblem } from './local-storage.js';
import { localVolumes } from './local-volumes.js';

describe('local storage', () => {
  const taken = (usedBytes: number): { at: number; usedBytes: number; inodesUsed: number } => ({
    at: 0,
    usedBytes,
    inodesUsed: 0,
  });
  const volume = (usedBytes: number) => ({
    volume: 'cache',
    usedBytes,
    capacityBytes: 0,
    availableBytes: 0,
    inodes: 0,
    inodesUsed: 0,
  });
  const pod: Pod = {
    spec: {
      volumes: [{ name: 'cache', emptyDir: { sizeLimit: '10Mi' } }],
      containers: [{ name: 'app', resources: { limits: { 'ephemeral-storage': '100Mi' } } }],
    },
  };
  test.each([
    ['all within', 5, 5, 5, undefined],
    ['a volume', 11, 0, 0, 'Usage of EmptyDir volume "cache" exceeds the limit "10Mi". '],
    ['the pod', 10, 60, 40, 'Pod ephemeral local storage usage exceeds the total limit of containers 100Mi. '],
  ])('%s', (_name, inVolume, inRootfs, inLogs, expected) => {
    const used = {
      rootfs: new Map([['app', taken(inRootfs * mebi)]]),
      logs: new Map([['app', taken(inLogs * mebi)]]),
      volumes: [volume(inVolume * mebi)],
    };
    expect(localStorageProblem(pod, used, 'one')?.message).toBe(expected);
  });

  test.each([
    ['its layer and its logs where both are on one disk', 'one', '10Mi', 6, 5, true],
    ['its logs alone where layers are elsewhere', 'imagefs', '10Mi', 60, 5, false],
    ['too many logs', 'imagefs', '10Mi', 0, 11, true],
    ['a limit of nothing, which is none', 'one', '0', 6, 5, false],
  ] as const)('a container: %s', (_name, layout, limit, inRootfs, inLogs, isOver) => {
    // The other container leaves the pod as a whole far from its limit.
    const [first, second] = ['app', 'other'].map((name, index) => ({
      name,
      resources: { limits: { 'ephemeral-storage': index === 0 ? limit : '1Gi' } },
    }));
    const used = {
      rootfs: new Map([['app', taken(inRootfs * mebi)]]),
      logs: new Map([['app', taken(inLogs * mebi)]]),
      volumes: [],
    };
    const problem = localStorageProblem({ spec: { containers: [first!, second!] } }, used, layout);
    expect(problem?.what).toBe(isOver ? 'ephemeralcontainerfs.limit' : undefined);
  });

  test.each<[string, Volume, number]>([
    ['an emptyDir on the disk', { name: 'cache', emptyDir: {} }, 150],
    ['a ConfigMap', { name: 'cache', configMap: { name: 'c' } }, 150],
    ['an emptyDir in memory', { name: 'cache', emptyDir: { medium: 'Memory' } }, 0],
    ['one of huge pages', { name: 'cache', emptyDir: { medium: 'HugePages' } }, 0],
    ['a Secret', { name: 'cache', secret: { secretName: 's' } }, 0],
    ['the volume of a driver', { name: 'cache', csi: { driver: 'd' } }, 0],
  ])('%s counts as it takes the node’s disk', (_name, each, counted) => {
    const used = { rootfs: new Map(), logs: new Map(), volumes: [volume(150)] };
    const owner: Pod = { spec: { ...pod.spec, volumes: [each], containers: pod.spec?.containers ?? [] } };
    expect(localVolumes(owner, used).reduce((sum, { usedBytes }) => sum + usedBytes, 0)).toBe(counted);
  });
});
