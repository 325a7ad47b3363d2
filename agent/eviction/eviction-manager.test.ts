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
  now = 0;

  add(name: string, bytes: number, more: Pod['spec'] = { containers: [] }): void {
    this.pods.set(
      { metadata: { name, namespace: 'n', uid: name }, spec: { ...more, containers: [{ name: 'c' }] } },
      bytes,
    );
  }

  manager(): EvictionManager {
    const builder = new EvictionPods();
    const deps: EvictionDeps = {
      clock: { now: () => this.now, sleep: () => Promise.resolve() },
      log: { ...silentLogger, warn: (_fields, message) => void this.warnings.push(message) },
      node: { kind: 'Node', name: 'n' },
      events: { record: (object, _type, reason) => void this.events.push(`${object.name} ${reason}`) },
      look: () => Promise.resolve({ layout: 'one', observations: this.#observations() }),
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
        'unused-images': () => Promise.resolve(void (this.images = 0)),
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
