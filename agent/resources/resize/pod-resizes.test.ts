import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import { podUidOf, type Pod, type PodUid, type ResourceRequirements } from '../../api/index.js';
import { PodResizes } from './pod-resizes.js';
import { resourcesOf } from './pod-resources.js';
import { requestedChanges } from './resize-counts.js';
import type { ResizeEvent } from './resize-events.js';
import { ResourceRecord } from './resource-record.js';

const { signal } = new AbortController();
const podOf = (name: string, cpu: string): Pod => ({
  metadata: { name, uid: name },
  spec: { containers: [{ name: 'main', resources: { requests: { cpu } } }] },
});
const cpuOf = (pod: Pod | undefined): unknown => pod?.spec?.containers[0]?.resources?.requests?.['cpu'];
const uid = (name: string): PodUid => name as PodUid;
const deps = { clock: systemClock, log: silentLogger };
let dir = '';

beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'berth-resizes-'))));
afterEach(() => rm(dir, { recursive: true, force: true }));

/** A node of 4 CPUs whose pods are taken as they are shown. */
async function open() {
  const allocated = await ResourceRecord.open(join(dir, 'allocated'), deps);
  const actuated = await ResourceRecord.open(join(dir, 'actuated'), deps);
  const world = {
    pods: new Map<PodUid, Pod>(),
    ended: new Set<PodUid>(),
    exclusiveCpus: false,
    told: [] as string[],
    counted: [] as string[],
    resizes: undefined as unknown as PodResizes,
    seen: () => Object.fromEntries([...world.pods].map(([name, pod]) => [name, cpuOf(pod)])),
    async [Symbol.asyncDispose]() {
      await allocated[Symbol.asyncDispose]();
      await actuated[Symbol.asyncDispose]();
    },
  };
  world.resizes = new PodResizes({
    ...deps,
    allocated,
    actuated,
    counts: {
      asked: (change) => void world.counted.push(Object.values(change).join(' ')),
      refused: (detail) => void world.counted.push(detail),
      grantedLate: (trigger) => void world.counted.push(trigger),
    },
    node: () => ({ allocatable: { cpu: '4' }, exclusiveCpus: world.exclusiveCpus, exclusiveMemory: false }),
    holding: () => [...world.pods.values()],
    isLiving: (each) => !world.ended.has(each),
    apply: (pods) => {
      for (const name of world.pods.keys()) if (!pods.some((pod) => podUidOf(pod) === name)) world.pods.delete(name);
      for (const pod of pods) {
        if (!world.pods.has(podUidOf(pod))) world.resizes.admitted(pod);
        world.pods.set(podUidOf(pod), pod);
      }
    },
    changed: () => {},
    tell: (pod: Pod, { reason }: ResizeEvent) => void world.told.push(`${pod.metadata?.name} ${reason}`),
  });
  return world;
}

test('a promise that its spec departs from is on the disk before anybody hears of it', async () => {
  await using world = await open();
  world.resizes.incoming([podOf('a', '1')], true);
  world.resizes.incoming([podOf('a', '5')], true);
  const next = await ResourceRecord.open(join(dir, 'allocated'), deps);
  expect(next.of(uid('a'))).toEqual(resourcesOf(podOf('a', '1')));
});

describe('pods are shown with what they were promised', () => {
  test('which is what they asked for first, and more when it fits', async () => {
    await using world = await open();
    world.resizes.incoming([podOf('a', '1'), podOf('b', '1')], true);
    world.resizes.incoming([podOf('a', '2'), podOf('b', '1')], true);
    expect(world.seen()).toEqual({ a: '2', b: '1' });
    expect(world.told).toEqual(['a ResizeStarted']);
  });

  test('what does not fit waits, those that give go first, and it is told once', async () => {
    await using world = await open();
    world.resizes.incoming([podOf('a', '2'), podOf('b', '2')], true);
    const wanted = [podOf('a', '3'), podOf('b', '2')];
    world.resizes.incoming(wanted, true);
    world.resizes.incoming(wanted, true);
    expect(world.seen()).toEqual({ a: '2', b: '2' });
    expect(world.resizes.refusal(uid('a'))).toMatchObject({ kind: 'Deferred' });
    expect(world.told).toEqual(['a ResizeDeferred']);
    world.resizes.incoming([podOf('a', '3'), podOf('b', '1')], true);
    expect(world.seen()).toEqual({ a: '3', b: '1' });
    expect(world.resizes.refusal(uid('a'))).toBeUndefined();
  });

  test('a retry after another pod went gives what waits', async () => {
    await using world = await open();
    world.resizes.incoming([podOf('a', '2'), podOf('b', '2')], true);
    world.resizes.incoming([podOf('a', '3'), podOf('b', '2')], true);
    world.pods.delete(uid('b'));
    world.resizes.retry('pod_terminated');
    expect(cpuOf(world.pods.get(uid('a')))).toBe('3');
  });

  test('a pod that ends is not resized, and a change that is taken back is no resize', async () => {
    await using world = await open();
    world.resizes.incoming([podOf('a', '1')], true);
    world.ended.add(uid('a'));
    world.resizes.incoming([podOf('a', '2')], true);
    expect(world.seen()).toEqual({ a: '1' });
    world.resizes.incoming([podOf('a', '1')], true);
    world.ended.clear();
    world.resizes.retry('pod_terminated');
    expect(world.told).toEqual([]);
  });

  test('the same object in, the same object out', async () => {
    await using world = await open();
    world.resizes.incoming([podOf('a', '1'), podOf('b', '3')], true);
    const wanted = [podOf('a', '2'), podOf('b', '3')];
    world.resizes.incoming(wanted, true);
    const shown = world.pods.get(uid('a'));
    world.resizes.incoming(wanted, true);
    expect(world.pods.get(uid('a'))).toBe(shown);
    expect(cpuOf(shown)).toBe('1');
  });

  test('by the next agent too, until everybody is known', async () => {
    {
      await using world = await open();
      world.resizes.incoming([podOf('a', '2'), podOf('b', '2')], true);
      await world.resizes.saved(signal);
    }
    await using world = await open();
    world.resizes.incoming([podOf('a', '3')], false);
    expect(world.seen()).toEqual({ a: '2' });
    world.resizes.incoming([podOf('a', '3'), podOf('b', '2')], true);
    expect(world.seen()).toEqual({ a: '2', b: '2' });
    expect(world.resizes.refusal(uid('a'))).toMatchObject({ kind: 'Deferred' });
  });
});

describe('what is counted of resizes', () => {
  test('each amount that is asked for anew, and what made a resize that waited possible', async () => {
    await using world = await open();
    world.resizes.incoming([podOf('a', '2'), podOf('b', '2')], true);
    world.resizes.incoming([podOf('a', '3'), podOf('b', '2')], true);
    expect(world.counted.splice(0)).toEqual(['cpu requests increase']);
    world.resizes.incoming([podOf('a', '3'), podOf('b', '1')], true);
    // The one that gives never had to wait.
    expect(world.counted.splice(0)).toEqual(['cpu requests decrease', 'pod_updated']);
    world.resizes.incoming([podOf('a', '3500m'), podOf('b', '1')], true);
    expect(world.counted.splice(0)).toEqual(['cpu requests increase']);
    world.resizes.incoming([podOf('a', '3500m')], true);
    expect(world.counted).toEqual(['pods_removed']);
  });

  test('one that the node never grants, once; what does not fit it at all is not among them', async () => {
    await using world = await open();
    const guaranteed = (cpu: string): Pod => ({
      metadata: { name: 'a', uid: 'a' },
      spec: {
        containers: [{ name: 'main', resources: { limits: { cpu, memory: '1Mi' }, requests: { cpu, memory: '1Mi' } } }],
      },
    });
    world.exclusiveCpus = true;
    world.resizes.incoming([guaranteed('1'), podOf('b', '1')], true);
    const wanted = [guaranteed('2'), podOf('b', '5')];
    world.resizes.incoming(wanted, true);
    world.resizes.incoming(wanted, true);
    expect(world.counted).toEqual([
      ...[
        'cpu requests increase',
        'cpu limits increase',
        'cpu requests increase',
        'guaranteed_pod_cpu_manager_static_policy',
      ],
    ]);
    expect(world.resizes.refusal(uid('b'))).toMatchObject({ kind: 'Infeasible' });
  });

  test('a limit that comes or goes is added or removed', () => {
    const main = (resources: ResourceRequirements): Pod => ({ spec: { containers: [{ name: 'main', resources }] } });
    const [none, some] = [main({}), main({ limits: { memory: '1Mi' }, requests: { cpu: '0' } })];
    const words = (from: Pod, to: Pod): string[] =>
      requestedChanges(from, to).map((each) => Object.values(each).join(' '));
    expect(words(none, some)).toEqual(['memory limits add']);
    expect(words(some, none)).toEqual(['memory limits remove']);
    expect(words(some, some)).toEqual([]);
  });
});

describe('the record', () => {
  const path = (): string => join(dir, 'allocated_pods_state');

  test('is the kubelet’s, with its checksum', async () => {
    const record = await ResourceRecord.open(path(), deps);
    record.set(uid('a'), resourcesOf(podOf('a', '1')));
    await record.saved(signal);
    const file = JSON.parse(await readFile(path(), 'utf8')) as { data: string; checksum: number };
    expect(JSON.parse(file.data)).toEqual({
      entries: { a: { ContainerResources: { main: { requests: { cpu: '1' } } }, PodLevelResources: null } },
    });
    expect((await ResourceRecord.open(path(), deps)).of(uid('a'))?.containers.get('main')).toEqual({
      requests: { cpu: '1' },
    });
  });

  test('one that the kubelet wrote is read', async () => {
    // From the kubelet's own test of its checkpoint.
    const data = String.raw`{\"entries\":{\"pod1\":{\"ContainerResources\":{\"container1\":{\"requests\":{\"cpu\":\"1Ki\",\"memory\":\"1Ki\"}}}}}}`;
    await writeFile(path(), `{"data":"${data}","checksum":1178570812}`);
    expect((await ResourceRecord.open(path(), deps)).of(uid('pod1'))?.containers.has('container1')).toBe(true);
  });

  test.each([
    ['garbage', 'not json'],
    ['a wrong checksum', '{"data":"{}","checksum":1}'],
    ['no data', '{"checksum":1}'],
  ])('with %s is set aside', async (_name, text) => {
    await writeFile(path(), text);
    expect((await ResourceRecord.open(path(), deps)).of(uid('a'))).toBeUndefined();
    expect((await readdir(dir)).filter((name) => name.includes('.corrupt-'))).toHaveLength(1);
  });

  test('what is set while a write is under way is written too', async () => {
    const record = await ResourceRecord.open(path(), deps);
    record.set(uid('a'), resourcesOf(podOf('a', '1')));
    const first = record.saved(signal);
    record.set(uid('b'), resourcesOf(podOf('b', '1')));
    await Promise.all([first, record.saved(signal)]);
    expect((await ResourceRecord.open(path(), deps)).of(uid('b'))).toBeDefined();
    await record[Symbol.asyncDispose]();
  });
});
