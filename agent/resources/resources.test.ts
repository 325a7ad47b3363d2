import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import type { LinuxContainerResources } from '../../proto/generated/cri-v1.js';
import type { Container, Pod } from '../api/index.js';
import { asKept } from './cgroups/kept-limits.js';
import { parseHierarchy, cgroupFolders, type CgroupHierarchy } from './cgroups/hierarchy.js';
import { podCgroupLimits } from './cgroups/pod-limits.js';
import { quotaOf, sharesOf, weightOf } from './cpu-shares.js';
import { enforceAllocatable } from './enforce-allocatable.js';
import { containerResources, type NodeLimits } from './linux-resources.js';
import { noReservations, type Reservations } from './node-allocatable.js';
import { oomScoreAdj } from './oom-score.js';
import { limitsSwap } from './swap.js';

const gibi = 2 ** 30;
const node: NodeLimits = {
  memoryBytes: 10 * gibi,
  cpuCfsQuota: true,
  cpuPeriodUs: 100_000,
  hugepageSizes: ['2Mi', '1Gi'],
  cgroupV2: true,
  singleProcessOomKill: false,
};
const podOf = (...resources: NonNullable<Container['resources']>[]): Pod => ({
  spec: { containers: resources.map((own, n) => ({ name: `c${n}`, resources: own })) },
});

test.each([
  [0, 2],
  [1, 2],
  [100, 102],
  [1000, 1024],
  [1_000_000, 262_144],
])('%i milli CPU are %i shares', (milli, shares) => expect(sharesOf(milli)).toBe(shares));

test.each([
  [2, 1],
  [1024, 39],
  [262_144, 10_000],
])('%i shares are weight %i', (shares, weight) => expect(weightOf(shares)).toBe(weight));

test.each([
  [0, -1],
  [5, 1000],
  [500, 50_000],
])('%i milli CPU are a quota of %i', (milli, quota) => expect(quotaOf(milli, 100_000)).toBe(quota));

describe('oom_score_adj', () => {
  test.each<[string, Pod, number]>([
    ['guaranteed', podOf({ limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '1', memory: '1Gi' } }), -997],
    ['best effort', podOf({}), 1000],
    ['burstable by its request', podOf({ requests: { memory: '1Gi' } }), 900],
    ['burstable with a tiny request', podOf({ requests: { memory: '1Ki' } }), 999],
    ['burstable with nearly all', podOf({ requests: { memory: '9.99Gi' } }), 3],
  ])('%s', (_name, pod, expected) => {
    expect(oomScoreAdj(pod, pod.spec?.containers[0] as Container, 10 * gibi)).toBe(expected);
  });

  test('a pod of the node itself is killed last, also where a manifest names the class alone', () => {
    const score = (spec: Pod['spec'], source: string): number => {
      const pod: Pod = { metadata: { annotations: { 'kubernetes.io/config.source': source } }, spec };
      return oomScoreAdj(pod, pod.spec?.containers[0] as Container, 10 * gibi);
    };
    const containers = [{ name: 'c' }];
    const priorityClassName = 'system-node-critical';
    expect(score({ containers, priorityClassName, priority: 2_000_001_000 }, 'api')).toBe(-997);
    expect(score({ containers, priorityClassName }, 'file')).toBe(-997);
    expect(score({ containers, priorityClassName: 'system-cluster-critical' }, 'file')).toBe(1000);
  });

  test.each([
    ['asks for least', '10Mi', 991],
    ['asks for more than any', '5Gi', 500],
  ])('a sidecar that %s is as safe as the regular container that does', (_name, memory, expected) => {
    const asks = (name: string, amount: string): Container => ({ name, resources: { requests: { memory: amount } } });
    const sidecar: Container = { ...asks('sidecar', memory), restartPolicy: 'Always' };
    const pod: Pod = { spec: { initContainers: [sidecar], containers: [asks('small', '100Mi'), asks('big', '4Gi')] } };
    expect(oomScoreAdj(pod, sidecar, 10 * gibi)).toBe(expected);
    expect(oomScoreAdj(pod, asks('big', '4Gi'), 10 * gibi)).toBe(600);
  });
});

test('limits and requests of a container as cgroup values', () => {
  const pod = podOf({
    requests: { cpu: '250m', memory: '64Mi' },
    limits: { cpu: '500m', memory: '128Mi', 'hugepages-2Mi': '4Mi' },
  });
  expect(containerResources(pod, pod.spec?.containers[0] as Container, node)).toEqual({
    cpuShares: 256,
    cpuPeriod: 100_000,
    cpuQuota: 50_000,
    memoryLimitInBytes: 128 * 2 ** 20,
    oomScoreAdj: 994,
    hugepageLimits: [
      { pageSize: '2MB', limit: 4 * 2 ** 20 },
      { pageSize: '1GB', limit: 0 },
    ],
    unified: { 'memory.oom.group': '1' },
  });
});

describe('swap', () => {
  const pod = podOf({ requests: { memory: '1Gi' }, limits: { memory: '2Gi' } }, { requests: { memory: '1Gi' } });
  const of = (swap: NodeLimits['swap'], version: 1 | 2, index = 0): LinuxContainerResources =>
    containerResources(pod, pod.spec?.containers[index] as Container, { ...node, cgroupV2: version === 2, swap });
  const limited = { behavior: 'LimitedSwap', swapBytes: 2 * gibi } as const;
  const none = { behavior: 'NoSwap', swapBytes: 2 * gibi } as const;

  test('of no container, also where the machine has none yet', () => {
    for (const swap of [none, { ...none, swapBytes: 0 }, { ...limited, swapBytes: 0 }])
      expect(of(swap, 2)).toMatchObject({ unified: { 'memory.swap.max': '0' } });
  });
  test('in proportion to what was asked for', () => {
    expect(of(limited, 2)).toMatchObject({ unified: { 'memory.swap.max': String(Math.floor(0.2 * gibi)) } });
  });
  test('v1: none beside the memory, whatever was asked for', () => {
    for (const swap of [none, limited])
      expect(of(swap, 1)).toMatchObject({ memoryLimitInBytes: 2 * gibi, memorySwapLimitInBytes: 2 * gibi });
    expect(of(none, 1, 1)).toMatchObject({ memoryLimitInBytes: 0, memorySwapLimitInBytes: 0 });
  });
  test('nothing is said of it where the kernel does not limit it', () => {
    expect(of(undefined, 2).unified).toEqual({ 'memory.oom.group': '1' });
    expect(of(undefined, 1)).not.toHaveProperty('memorySwapLimitInBytes');
  });
  test('is limited where the file of the cgroup is there', () => {
    const root = mkdtempSync(join(tmpdir(), 'berth-swap-'));
    onTestFinished(() => rmSync(root, { recursive: true }));
    const v1: CgroupHierarchy = { version: 1, controllers: new Map([['memory', root]]), others: [] };
    const v2: CgroupHierarchy = { version: 2, root };
    mkdirSync(join(root, 'kubepods'));
    expect([limitsSwap(v1, '/kubepods'), limitsSwap(v2, '/kubepods')]).toEqual([false, false]);
    writeFileSync(join(root, 'kubepods/memory.memsw.limit_in_bytes'), '');
    expect([limitsSwap(v1, '/kubepods'), limitsSwap(v2, '/kubepods')]).toEqual([true, false]);
    writeFileSync(join(root, 'kubepods/memory.swap.max'), '');
    expect(limitsSwap(v2, '/kubepods')).toBe(true);
    expect(limitsSwap({ version: 1, controllers: new Map(), others: [] }, '/kubepods')).toBe(false);
  });
});

test.each<[string, Pod, object]>([
  ['best effort', podOf({}), { cpuShares: 2, cpuQuotaUs: undefined, memoryBytes: undefined }],
  [
    'burstable, one container unlimited',
    podOf({ requests: { cpu: '1' }, limits: { memory: '1Gi' } }, {}),
    { cpuShares: 1024, cpuQuotaUs: undefined, memoryBytes: undefined },
  ],
  [
    'burstable, all limited',
    podOf({ requests: { cpu: '1' }, limits: { cpu: '2', memory: '1Gi' } }),
    { cpuShares: 1024, cpuQuotaUs: 200_000, memoryBytes: gibi },
  ],
])('pod cgroup of %s', (_name, pod, expected) => {
  expect(podCgroupLimits(pod, { cpuCfsQuota: true, cpuPeriodUs: 100_000, podPidsLimit: -1 })).toMatchObject(expected);
});

test('the cgroup layout is read from mountinfo', () => {
  const v1 =
    '30 25 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n';
  const hybrid = parseHierarchy(v1);
  expect(hybrid.version).toBe(1);
  expect(cgroupFolders(hybrid, '/kubepods')).toEqual([
    '/sys/fs/cgroup/cpu/kubepods',
    '/sys/fs/cgroup/memory/kubepods',
    '/sys/fs/cgroup/unified/kubepods',
  ]);
  expect(parseHierarchy('30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n')).toEqual({
    version: 2,
    root: '/sys/fs/cgroup',
  });
});

describe('resources of the pod as a whole', () => {
  const pod: Pod = {
    spec: {
      resources: { requests: { cpu: '500m' }, limits: { cpu: '1', memory: '256Mi', 'hugepages-2Mi': '4Mi' } },
      containers: [
        { name: 'none' },
        { name: 'own', resources: { requests: { cpu: '100m' }, limits: { memory: '64Mi' } } },
      ],
    },
  };
  const of = (index: number) => containerResources(pod, pod.spec?.containers[index] as Container, node);
  test('limit a container that has no limit of its own', () => {
    expect(of(0)).toMatchObject({ cpuShares: 1024, cpuQuota: 100_000, memoryLimitInBytes: 256 * 2 ** 20 });
    expect(of(0).hugepageLimits?.[0]).toEqual({ pageSize: '2MB', limit: 4 * 2 ** 20 });
  });
  test('leave a limit of its own as it is', () => {
    expect(of(1)).toMatchObject({ cpuShares: 102, cpuQuota: 100_000, memoryLimitInBytes: 64 * 2 ** 20 });
  });
  test('are what its cgroup gets', () => {
    expect(podCgroupLimits(pod, { cpuCfsQuota: true, cpuPeriodUs: 100_000, podPidsLimit: -1 })).toMatchObject({
      cpuShares: 512,
      cpuQuotaUs: 100_000,
      memoryBytes: 256 * 2 ** 20,
    });
  });
});

test('a pod whose containers have CPUs of their own has no quota', () => {
  const amounts = { cpu: '1', memory: '1Gi' };
  const pod = podOf({ requests: amounts, limits: amounts });
  const options = { cpuCfsQuota: true, cpuPeriodUs: 100_000, podPidsLimit: -1 };
  expect(podCgroupLimits(pod, { ...options, hasOwnCpus: () => true }).cpuQuotaUs).toBeUndefined();
  expect(podCgroupLimits(pod, { ...options, hasOwnCpus: () => false }).cpuQuotaUs).toBe(100_000);
});

test.each([
  [102, { v2: false, systemd: false }, 102],
  [102, { v2: true, systemd: false }, 81],
  [2, { v2: true, systemd: false }, 2],
  [262_144, { v2: true, systemd: true }, 262_144],
])('%i shares are kept as the kernel counts them', (cpuShares, kernel, expected) => {
  expect(asKept({ cpuShares }, kernel).cpuShares).toBe(expected);
});

test('a quota is kept in whole percents by systemd, memory in whole pages', () => {
  const limits = { cpuQuotaUs: 33_333, cpuPeriodUs: 100_000, memoryBytes: 10_000 };
  expect(asKept(limits, { v2: true, systemd: true })).toMatchObject({ cpuQuotaUs: 34_000, memoryBytes: 8192 });
  expect(asKept(limits, { v2: true, systemd: false })).toMatchObject({ cpuQuotaUs: 33_333 });
});

describe('node allocatable', () => {
  const reservations: Reservations = {
    ...noReservations,
    systemReserved: { cpu: '500m', memory: '1Gi', pid: '1000' },
    systemReservedCgroup: '/system',
    enforce: ['pods', 'system-reserved'],
  };
  const run = async (limitOther: () => Promise<boolean>, failures: number) => {
    const told: string[] = [];
    const stop = new AbortController();
    let sleeps = 0;
    const limited: unknown[] = [];
    await enforceAllocatable(
      { memoryBytes: gibi },
      reservations,
      {
        clock: {
          ...systemClock,
          sleep: () => {
            if (++sleeps > 2) stop.abort();
            return Promise.resolve();
          },
        },
        log: silentLogger,
        events: { record: (_object, _type, reason, message) => void told.push(`${reason}: ${message}`) },
        node: { kind: 'Node', name: 'n' },
        cgroups: {
          root: '/kubepods',
          limitAll: () => (failures-- > 0 ? Promise.reject(new Error('busy')) : Promise.resolve()),
          limitOther: (cgroup, limits) => {
            limited.push([cgroup, limits]);
            return limitOther();
          },
        },
      },
      stop.signal,
    );
    return { told, limited };
  };
  test('is enforced on pods and on what is reserved, and told', async () => {
    const { told, limited } = await run(() => Promise.resolve(true), 1);
    expect(told).toEqual([
      'FailedNodeAllocatableEnforcement: Failed to update Node Allocatable Limits "/kubepods": busy',
      'NodeAllocatableEnforced: Updated Node Allocatable limit across pods',
      'NodeAllocatableEnforced: Updated limits on system reserved cgroup /system',
    ]);
    expect(limited).toEqual([['/system', { cpuShares: 512, memoryBytes: gibi, pids: 1000 }]]);
  });
  test('of a cgroup that is not there is told and tried again', async () => {
    const { told } = await run(() => Promise.resolve(false), 0);
    expect(told[1]).toBe(
      'FailedNodeAllocatableEnforcement: Failed to enforce System Reserved Cgroup Limits on "/system": the cgroup does not exist',
    );
  });
});
