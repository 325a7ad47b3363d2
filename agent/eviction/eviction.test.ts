import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Pod, PodUid, Volume } from '../api/index.js';
import { decideEviction, freshMemory, nodeReclaims, type EvictionInput } from './decide-eviction.js';
import { EvictionPods, type EvictionPod } from './eviction-pod.js';
import { evictionWords, type EvictionWords } from './eviction-words.js';
import { localStorageProblem } from './local-storage.js';
import { localVolumes } from './local-volumes.js';
import { pressureWhatIf } from './pressure-what-if.js';
import { rankPods } from './rank-pods.js';
import type { EvictionSignal, Observation } from './signals.js';
import { parseThresholds, withContainerfs, type EvictionSettings } from './thresholds.js';

const mebi = 2 ** 20;
const noDisk = { bytes: 0, inodes: 0 };

function podOf(
  name: string,
  more: Partial<Omit<EvictionPod, 'usage'>> & {
    memory?: number;
    processes?: number;
    rootfs?: number;
    logs?: number;
    volumes?: number;
  } = {},
): EvictionPod {
  const { memory = 0, processes = 1, rootfs = 0, logs = 0, volumes = 0, ...rest } = more;
  return {
    uid: name as PodUid,
    namespace: 'n',
    name,
    qos: 'Burstable',
    priority: 0,
    critical: false,
    graceSeconds: 30,
    memoryRequest: 0,
    storageRequest: 0,
    usage: {
      memory,
      processes,
      rootfs: { bytes: rootfs, inodes: 0 },
      logs: { bytes: logs, inodes: 0 },
      volumes: { bytes: volumes, inodes: 0 },
    },
    containers: [],
    ...rest,
  };
}

const settings = (more: Partial<EvictionSettings> = {}): EvictionSettings => ({
  evictionHard: {},
  evictionSoft: {},
  evictionSoftGracePeriodMs: {},
  evictionMinimumReclaim: {},
  mergeDefaultEvictionSettings: false,
  ...more,
});

const observed = (
  entries: Partial<Record<EvictionSignal, readonly [number, number]>>,
): Map<EvictionSignal, Observation> =>
  new Map(
    Object.entries(entries).map(([signal, [available, capacity]]) => [
      signal as EvictionSignal,
      { available, capacity },
    ]),
  );

const input = (more: Partial<EvictionInput>): EvictionInput => ({
  observations: new Map(),
  thresholds: [],
  pods: [],
  layout: 'one',
  memory: freshMemory,
  transitionMs: 300_000,
  now: 1_000_000,
  ...more,
});

describe('thresholds', () => {
  test('without settings the defaults hold, and the pods as a whole have the memory threshold as well', () => {
    const thresholds = parseThresholds(settings({ evictionHard: undefined }), true);
    expect(thresholds.map(({ signal }) => signal)).toEqual([
      'memory.available',
      'nodefs.available',
      'nodefs.inodesFree',
      'imagefs.available',
      'imagefs.inodesFree',
      'allocatableMemory.available',
    ]);
    expect(thresholds[0]).toEqual({
      signal: 'memory.available',
      value: { kind: 'amount', amount: 100 * mebi },
      graceMs: 0,
      minReclaim: undefined,
    });
  });

  test('own settings replace the defaults, unless merged; 0% and 100% turn a signal off', () => {
    const own = { 'memory.available': '0%', 'nodefs.available': '1Gi' };
    const names = (mergeDefaultEvictionSettings: boolean): string[] =>
      parseThresholds(settings({ evictionHard: own, mergeDefaultEvictionSettings }), true).map(({ signal }) => signal);
    expect(names(false)).toEqual(['nodefs.available']);
    expect(names(true)).toEqual(['nodefs.available', 'nodefs.inodesFree', 'imagefs.available', 'imagefs.inodesFree']);
  });

  test.each([
    [{ evictionHard: { 'cpu.available': '1' } }, 'read evictionHard: cpu.available: is no eviction signal'],
    [{ evictionHard: { 'memory.available': '-1' } }, 'read evictionHard: memory.available: -1 must not be negative'],
    [
      { evictionHard: { 'memory.available': '120%' } },
      'read evictionHard: memory.available: 120% is no share of 0% to 100%',
    ],
    [
      { evictionHard: { 'memory.available': 'much' } },
      'read evictionHard: memory.available: much is neither a quantity nor a percentage',
    ],
    [
      { evictionSoft: { 'memory.available': '1Gi' } },
      'read evictionSoft: memory.available: has no evictionSoftGracePeriod',
    ],
  ])('%j is refused', (more, message) => {
    expect(() => parseThresholds(settings(more), true)).toThrow(message);
  });

  test('containerfs follows the filesystem it lies on', () => {
    const thresholds = parseThresholds(settings({ evictionHard: undefined }), false);
    const valueOf = (layout: 'one' | 'imagefs' | 'split'): unknown =>
      withContainerfs(thresholds, layout).find(({ signal }) => signal === 'containerfs.available')?.value;
    expect(valueOf('imagefs')).toEqual({ kind: 'share', share: 0.15 });
    expect(valueOf('split')).toEqual({ kind: 'share', share: 0.1 });
  });
});

describe('ranking', () => {
  const names = (
    pods: readonly EvictionPod[],
    signal: EvictionSignal,
    layout: 'one' | 'imagefs' | 'split' = 'one',
  ): string[] => rankPods(pods, signal, layout).map(({ pod }) => pod.name);

  test('memory: over the request first, then priority, then by how much it is over', () => {
    const pods = [
      podOf('within', { memory: 900, memoryRequest: 1000 }),
      podOf('important', { memory: 5000, memoryRequest: 0, priority: 10 }),
      podOf('over-a-little', { memory: 110, memoryRequest: 100 }),
      podOf('over-a-lot', { memory: 500, memoryRequest: 100 }),
      { ...podOf('unknown'), usage: undefined },
    ];
    expect(names(pods, 'memory.available')).toEqual(['unknown', 'over-a-lot', 'over-a-little', 'important', 'within']);
  });

  test('pids: priority, then processes', () => {
    const pods = [
      podOf('few', { processes: 2 }),
      podOf('important', { processes: 99, priority: 1 }),
      podOf('bomb', { processes: 50 }),
    ];
    expect(names(pods, 'pid.available')).toEqual(['bomb', 'few', 'important']);
  });

  test.each([
    ['one', 'nodefs.available', ['layer', 'log', 'volume']],
    ['imagefs', 'nodefs.available', ['log', 'volume', 'layer']],
    ['imagefs', 'imagefs.available', ['layer', 'volume', 'log']],
    ['split', 'containerfs.available', ['layer', 'log', 'volume']],
  ] as const)('disk, layout %s, %s: what lies there counts', (layout, signal, expected) => {
    const pods = [podOf('volume', { volumes: 1 }), podOf('log', { logs: 2 }), podOf('layer', { rootfs: 3 })];
    expect(names(pods, signal, layout)).toEqual(expected);
  });
});

describe('decision', () => {
  const hard = parseThresholds(
    settings({
      evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '10%' },
      evictionMinimumReclaim: { 'memory.available': '50Mi' },
    }),
    false,
  );

  test('nothing is done while everything is within its threshold', () => {
    const decision = decideEviction(
      input({ thresholds: hard, observations: observed({ 'memory.available': [100 * mebi, 1000 * mebi] }) }),
    );
    expect(decision.starvation).toBeUndefined();
    expect([...decision.conditions]).toEqual([]);
  });

  test('memory goes before disk, and a critical pod is passed over', () => {
    const pods = [podOf('critical', { memory: 900 * mebi, critical: true }), podOf('hog', { memory: 50 * mebi })];
    const decision = decideEviction(
      input({
        thresholds: hard.toReversed(),
        pods,
        observations: observed({ 'memory.available': [99 * mebi, 1000 * mebi], 'nodefs.available': [1, 100] }),
      }),
    );
    expect(decision.starvation?.crossed.threshold.signal).toBe('memory.available');
    expect(decision.starvation?.victim?.pod.name).toBe('hog');
    expect([...decision.conditions].sort()).toEqual(['DiskPressure', 'MemoryPressure']);
  });

  test('once crossed, it stays so until the minimum reclaim is there as well', () => {
    const at = (available: number, memory = freshMemory): ReturnType<typeof decideEviction> =>
      decideEviction(
        input({
          thresholds: hard,
          memory,
          observations: observed({ 'memory.available': [available * mebi, 1000 * mebi] }),
        }),
      );
    const first = at(99);
    expect(at(120).crossed).toEqual([]);
    expect(at(120, first.memory).crossed).toHaveLength(1);
    expect(at(150, first.memory).crossed).toEqual([]);
  });

  test('a soft threshold that mends itself before its grace is over needs no minimum reclaim', () => {
    const thresholds = parseThresholds(
      settings({
        evictionSoft: { 'memory.available': '100Mi' },
        evictionSoftGracePeriodMs: { 'memory.available': 60_000 },
        evictionMinimumReclaim: { 'memory.available': '50Mi' },
      }),
      false,
    );
    const at = (available: number, now: number, memory = freshMemory): ReturnType<typeof decideEviction> =>
      decideEviction(
        input({
          thresholds,
          memory,
          now,
          pods: [podOf('a')],
          observations: observed({ 'memory.available': [available * mebi, 1000 * mebi] }),
        }),
      );
    const dip = at(99, 1_000_000);
    const mended = at(120, 1_010_000, dip.memory);
    expect(mended.crossed).toEqual([]);
    expect(at(120, 1_070_000, mended.memory).starvation).toBeUndefined();
    // Once a pod had to go for it, what it freed must be enough.
    const due = at(99, 1_060_000, dip.memory);
    expect(due.starvation?.victim?.pod.name).toBe('a');
    expect(at(120, 1_070_000, due.memory).starvation?.victim?.pod.name).toBe('a');
    expect(at(150, 1_070_000, due.memory).crossed).toEqual([]);
  });

  test('a soft threshold tells its pressure at once and acts after its grace', () => {
    const thresholds = parseThresholds(
      settings({
        evictionSoft: { 'memory.available': '1Gi' },
        evictionSoftGracePeriodMs: { 'memory.available': 60_000 },
      }),
      false,
    );
    const observations = observed({ 'memory.available': [0, 2 ** 31] });
    const first = decideEviction(input({ thresholds, observations, pods: [podOf('a')] }));
    expect([...first.conditions]).toEqual(['MemoryPressure']);
    expect(first.starvation).toBeUndefined();
    const at = (now: number): boolean =>
      decideEviction(input({ thresholds, observations, pods: [podOf('a')], memory: first.memory, now })).starvation !==
      undefined;
    expect(at(1_059_999)).toBe(false);
    expect(at(1_060_000)).toBe(true);
  });

  test('a pressure is told until the transition period after it was last felt', () => {
    const bad = observed({ 'memory.available': [0, 1000 * mebi] });
    const good = observed({ 'memory.available': [900 * mebi, 1000 * mebi] });
    const { memory } = decideEviction(input({ thresholds: hard, observations: bad }));
    const at = (now: number): number =>
      decideEviction(input({ thresholds: hard, observations: good, memory, now })).conditions.size;
    expect(at(1_299_999)).toBe(1);
    expect(at(1_300_000)).toBe(0);
  });

  test.each([
    ['memory.available', 'one', []],
    ['nodefs.available', 'one', ['dead-containers', 'unused-images']],
    ['nodefs.available', 'imagefs', []],
    ['imagefs.inodesFree', 'imagefs', ['dead-containers', 'unused-images']],
    ['nodefs.available', 'split', ['dead-containers']],
    ['imagefs.available', 'split', ['unused-images']],
    ['containerfs.available', 'imagefs', ['dead-containers', 'unused-images']],
  ] as const)('%s, layout %s: the node first gives back %j', (signal, layout, expected) => {
    expect(nodeReclaims(signal, layout)).toEqual(expected);
  });

  test('the victim is never critical, and nobody before it in the order could have gone', () => {
    const pod = fc.record({
      memory: fc.nat(1000),
      memoryRequest: fc.nat(1000),
      priority: fc.integer({ min: -5, max: 5 }),
      critical: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(pod, { maxLength: 30 }), (drawn) => {
        const pods = drawn.map((each, n) => podOf(`p${n}`, each));
        const { starvation } = decideEviction(
          input({ thresholds: hard, pods, observations: observed({ 'memory.available': [0, 1000 * mebi] }) }),
        );
        const at = starvation?.ranked.findIndex((each) => each === starvation.victim) ?? -1;
        if (starvation?.victim) expect(starvation.victim.pod.critical).toBe(false);
        else expect(pods.every((each) => each.critical)).toBe(true);
        for (const before of starvation?.ranked.slice(0, Math.max(at, 0)) ?? []) expect(before.pod.critical).toBe(true);
      }),
    );
  });

  test('500 pods are decided over in less than 5 ms', () => {
    const specs = Array.from({ length: 500 }, (_, n): Pod => ({
      metadata: { name: `p${n}`, namespace: 'n', uid: `u${n}` },
      spec: { priority: n % 3, containers: [{ name: 'c', resources: { requests: { memory: `${n}Mi`, cpu: '1m' } } }] },
    }));
    const builder = new EvictionPods();
    const files = { rootfs: new Map(), logs: new Map(), volumes: [] };
    const decide = (): void => {
      const pods = specs.map((spec) => builder.of(spec, undefined, files));
      decideEviction(
        input({ thresholds: hard, pods, observations: observed({ 'memory.available': [0, 1000 * mebi] }) }),
      );
    };
    decide();
    const times = Array.from({ length: 20 }, () => {
      const start = performance.now();
      decide();
      return performance.now() - start;
    });
    expect(Math.min(...times)).toBeLessThan(5);
  });
});

describe('the message names the resource, the numbers and who took more than it asked for', () => {
  const container = {
    name: 'app',
    memory: 300 * mebi,
    memoryRequest: 100 * mebi,
    rootfs: { bytes: mebi, inodes: 7 },
    logs: noDisk,
    storageRequest: 0,
  };
  const crossed = (signal: EvictionSignal) => ({
    threshold: { signal, value: { kind: 'amount' as const, amount: 100 * mebi }, graceMs: 0, minReclaim: undefined },
    observed: { available: 50 * mebi, capacity: 2 ** 30 },
    wanted: 100 * mebi,
    target: 100 * mebi,
    since: 0,
    due: true,
  });
  const wordsOf = (signal: EvictionSignal, more: Partial<EvictionPod> = {}): EvictionWords =>
    evictionWords(
      {
        ...podOf('a', { memory: 310 * mebi, containers: [container, { ...container, name: 'small', memory: 1 }] }),
        ...more,
      },
      crossed(signal),
      'one',
    );
  const messageOf = (signal: EvictionSignal, more: Partial<EvictionPod> = {}): string => wordsOf(signal, more).message;

  test('memory', () => {
    expect(messageOf('memory.available')).toBe(
      'The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container app was using 300Mi, request is 100Mi, has larger consumption of memory. ',
    );
  });

  test('of a pod that asks for memory as a whole, what all of it took', () => {
    const whole = 'Pod a was using 310Mi, request is 200Mi, has larger consumption of memory. ';
    const more = { podLevelMemoryRequest: 200 * mebi };
    expect(messageOf('allocatableMemory.available', more)).toContain(`available: 50Mi. ${whole}Container app was`);
    expect(messageOf('nodefs.available', more)).not.toContain('Pod a');
  });

  test('nobody asks for inodes or processes', () => {
    expect(messageOf('nodefs.available')).toContain('Container small was using 1Mi, request is 0, has larger');
    expect(messageOf('nodefs.inodesFree')).toMatch(/^The node was low on resource: inodes\. Threshold [^.]*\. $/);
    expect(messageOf('pid.available')).toMatch(/^The node was low on resource: pids\. Threshold [^.]*\. $/);
  });

  test('the event says the same in its annotations', () => {
    expect(wordsOf('memory.available', { podLevelMemoryRequest: 200 * mebi }).annotations).toEqual({
      offending_pod: 'a',
      offending_pod_usage: '310Mi',
      offending_containers: 'app',
      offending_containers_usage: '300Mi',
      starved_resource: 'memory',
    });
    expect(wordsOf('nodefs.inodesFree').annotations).toEqual({
      offending_containers: '',
      offending_containers_usage: '',
      starved_resource: 'inodes',
    });
    expect(wordsOf('nodefs.available', { usage: undefined }).annotations).toEqual({});
  });

  test('containers to look into a pod with are not blamed', () => {
    const pod: Pod = {
      metadata: { name: 'a', uid: 'a' },
      spec: {
        resources: { requests: { memory: '1Gi', cpu: '1' } },
        initContainers: [{ name: 'init' }],
        containers: [{ name: 'main' }],
        ephemeralContainers: [{ name: 'debug' }],
      },
    };
    const built = new EvictionPods().of(pod, undefined, { rootfs: new Map(), logs: new Map(), volumes: [] });
    expect(built.containers.map(({ name }) => name)).toEqual(['init', 'main']);
    expect(built.podLevelMemoryRequest).toBe(2 ** 30);
    const plain = new EvictionPods().of({ ...pod, spec: { containers: [{ name: 'main' }] } }, undefined, {
      rootfs: new Map(),
      logs: new Map(),
      volumes: [],
    });
    expect(plain.podLevelMemoryRequest).toBeUndefined();
  });
});

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

test('what if: the arithmetic and the order, in words', () => {
  const text = pressureWhatIf({
    thresholds: parseThresholds(settings({ evictionHard: { 'memory.available': '100Mi' } }), false),
    observations: observed({ 'memory.available': [1124 * mebi, 4096 * mebi] }),
    layout: 'one',
    pods: [
      podOf('web', { memory: 64 * mebi, memoryRequest: 128 * mebi }),
      podOf('hog', { memory: 512 * mebi, qos: 'BestEffort' }),
      podOf('dns', { memory: 20 * mebi, critical: true, priority: 2_000_000_000 }),
    ],
  });
  expect(text).toBe(
    [
      'memory.available: 1.1Gi of 4Gi available (MemoryPressure)',
      '  hard: below 100Mi: 1.1Gi - 100Mi = 1Gi to spare',
      '  first the node gives back: nothing, this is not freed by removing anything of its own',
      '  ORDER  POD    QOS         PRIORITY    USED   REQUEST  USED-REQUEST  WHY',
      '  1      n/hog  BestEffort  0           512Mi  0        512Mi         uses more than it requested',
      '  never  n/dns  Burstable   2000000000  20Mi   0        20Mi          critical pods are never evicted',
      '  2      n/web  Burstable   0           64Mi   128Mi    -64Mi         within its request: goes after all that are over theirs',
      '',
    ].join('\n'),
  );
});
