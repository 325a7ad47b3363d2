import { expect, test } from 'vitest';
import { silentLogger } from '../../base/log.js';
import type { Pod, PodUid } from '../api/index.js';
import { podUidOf } from '../api/index.js';
import { EvictionManager, type EvictionDeps } from './eviction-manager.js';
import { EvictionPods, type EvictionPod } from './eviction-pod.js';
import type { EvictionSignal, PressureCondition } from './signals.js';

const { signal } = new AbortController();
const files = { rootfs: new Map(), logs: new Map(), volumes: [] };

const withUsage = (pod: EvictionPod, usage: NonNullable<EvictionPod['usage']>): EvictionPod => ({
  ...pod,
  qos: pod.qos,
  containers: pod.containers,
  usage,
});

/** A node with so many bytes of disk, of which pods and the node's own things take some. */
class SmallNode {
  readonly capacity = 1000;
  images = 0;
  readonly pods = new Map<Pod, number>();
  readonly ended: { uid: PodUid; grace: number; message: string }[] = [];
  readonly events: string[] = [];
  readonly evictions: string[] = [];
  readonly warnings: string[] = [];
  conditions: readonly PressureCondition[] = [];
  looks = 0;
  now = 0;
  /** True where there were any. */
  removeImages: () => boolean = () => {
    const some = this.images > 0;
    this.images = 0;
    return some;
  };
  /** Called for each second that passes. */
  everySecond: () => void = () => {};

  add(name: string, bytes: number, more: Pod['spec'] = { containers: [] }): void {
    this.pods.set(
      { metadata: { name, namespace: 'n', uid: name }, spec: { ...more, containers: [{ name: 'c' }] } },
      bytes,
    );
  }

  manager(): EvictionManager {
    const builder = new EvictionPods();
    const deps: EvictionDeps = {
      clock: { now: () => this.now, sleep: (ms, signal) => this.#sleep(ms, signal) },
      log: { ...silentLogger, warn: (_fields, message) => void this.warnings.push(message) },
      node: { kind: 'Node', name: 'n' },
      events: { record: (object, _type, reason) => void this.events.push(`${object.name} ${reason}`) },
      look: () => {
        this.looks++;
        return Promise.resolve({ layout: 'one', observations: this.#observations() });
      },
      activePods: () => [...this.pods.keys()],
      measure: (pods) =>
        Promise.resolve(
          pods.map((pod) =>
            withUsage(builder.of(pod, undefined, files), {
              memory: 0,
              processes: 1,
              rootfs: { bytes: this.pods.get(pod) ?? 0, inodes: 0 },
              logs: { bytes: 0, inodes: 0 },
              volumes: { bytes: 0, inodes: 0 },
            }),
          ),
        ),
      filesystemsOf: () => files,
      reclaim: {
        'dead-containers': () => Promise.reject(new Error('the runtime is away')),
        'unused-images': () => Promise.resolve(this.removeImages()),
      },
      terminate: (uid, { graceSeconds, status }) => {
        this.ended.push({ uid, grace: graceSeconds, message: status?.message ?? '' });
        for (const pod of this.pods.keys()) if (podUidOf(pod) === uid) this.pods.delete(pod);
      },
      isCleanedUp: () => true,
      evicted: (name) => void this.evictions.push(name),
      conditionsChanged: (conditions) => void (this.conditions = [...conditions]),
    };
    const threshold = {
      signal: 'nodefs.available' as const,
      value: { kind: 'share' as const, share: 0.1 },
      graceMs: 0,
      minReclaim: undefined,
    };
    return new EvictionManager({ thresholds: [threshold], maxGraceSeconds: 0, transitionMs: 5000 }, deps);
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    for (let left = ms; left > 0; left -= 1000) {
      this.now += Math.min(left, 1000);
      this.everySecond();
    }
    await Promise.resolve();
    signal.throwIfAborted();
  }

  #observations(): Map<EvictionSignal, { available: number; capacity: number }> {
    const used = [...this.pods.values()].reduce((sum, bytes) => sum + bytes, this.images);
    return new Map([['nodefs.available', { available: this.capacity - used, capacity: this.capacity }]]);
  }
}

test('the node gives back its own first; then one pod goes, the largest', async () => {
  const node = new SmallNode();
  node.add('small', 100);
  node.add('large', 500);
  node.images = 350;
  const manager = node.manager();
  expect(await manager.check(signal)).toEqual([]);
  expect(node.images).toBe(0);
  expect(node.conditions).toEqual(['DiskPressure']);

  node.add('new', 350);
  expect(await manager.check(signal)).toEqual(['large']);
  expect(node.ended).toEqual([
    { uid: 'large', grace: 1, message: expect.stringContaining('low on resource: ephemeral-storage') as string },
  ]);
  expect(node.events).toEqual(['n EvictionThresholdMet', 'n EvictionThresholdMet', 'large Evicted']);
  expect(node.evictions).toEqual(['nodefs.available']);
  expect(await manager.check(signal)).toEqual([]);
});

test.each([
  // The runtime deletes them behind our back: 50 a second, from the second second on.
  ['that is enough', 500, 450, [], 2],
  // The pod goes soon after they are gone.
  ['that is too little', 920, 60, ['large'], 8],
  ['nothing of', 950, 0, ['large'], 0],
])('a pod does not go while there are images being deleted, %s', async (_name, bytes, images, gone, seconds) => {
  const node = new SmallNode();
  node.add('large', bytes);
  node.images = images;
  let deleting: number | undefined;
  node.removeImages = () => {
    deleting = node.now;
    return images > 0;
  };
  node.everySecond = () => {
    if (deleting !== undefined && node.now - deleting > 1000) node.images = Math.max(node.images - 50, 0);
  };
  expect(await node.manager().check(signal)).toEqual(gone);
  expect(node.now).toBeLessThanOrEqual(seconds * 1000);
});

test('a node with critical pods only evicts none, and says so once for each shortage', async () => {
  const node = new SmallNode();
  const critical = (bytes: number): void => {
    node.pods.clear();
    node.add('critical', bytes, { containers: [], priority: 2_000_000_000 });
  };
  const helpless = (): number => node.warnings.filter((words) => words.includes('no pod to evict')).length;
  const manager = node.manager();
  critical(990);
  for (let second = 0; second < 3; second++) expect(await manager.check(signal)).toEqual([]);
  expect(helpless()).toBe(1);
  critical(100);
  await manager.check(signal);
  critical(990);
  await manager.check(signal);
  expect(helpless()).toBe(2);
});

test('the pressure is over once the transition period has passed', async () => {
  const node = new SmallNode();
  node.add('large', 950);
  const manager = node.manager();
  await manager.check(signal);
  node.now = 4999;
  await manager.check(signal);
  expect(node.conditions).toEqual(['DiskPressure']);
  node.now = 5000;
  await manager.check(signal);
  expect(node.conditions).toEqual([]);
});

/** Runs the manager for so many seconds of the node's clock. */
async function runFor(node: SmallNode, seconds: number): Promise<void> {
  const stop = new AbortController();
  const before = node.everySecond;
  node.everySecond = () => {
    before();
    if (node.now >= seconds * 1000) stop.abort();
  };
  await node.manager().run(stop.signal);
}

test('a disk that is nearly full and stays so is looked at as seldom as an empty one', async () => {
  const looks: number[] = [];
  for (const used of [0, 850]) {
    const node = new SmallNode();
    node.add('at-rest', used);
    await runFor(node, 60);
    looks.push(node.looks);
  }
  expect(looks).toEqual([6, 6]);
});

test('a pod that fills the disk is gone within the seconds a kubelet needs', async () => {
  const node = new SmallNode();
  node.add('at-rest', 400);
  node.add('filling', 0);
  const [, filling] = [...node.pods.keys()];
  let full: number | undefined;
  let gone: number | undefined;
  node.everySecond = () => {
    const bytes = filling && node.pods.get(filling);
    if (!filling || bytes === undefined) {
      gone ??= node.now;
      return;
    }
    node.pods.set(filling, bytes + 15);
    if (bytes + 15 > 500) full ??= node.now;
  };
  await runFor(node, 60);
  expect(node.ended.map(({ uid }) => uid)).toEqual(['filling']);
  expect((gone ?? Infinity) - (full ?? Infinity)).toBeLessThanOrEqual(2000);
});
