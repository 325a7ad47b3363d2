import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import type { Event, Pod } from '../../api/index.js';
import { Sealer } from '../local/sealed-file.js';
import type { PodSnapshot } from '../control-plane.js';
import { ApiError, type ApiClient, type ApiRequest } from './client/index.js';
import { EventWriter } from './event-writer.js';
import { LastKnown } from './last-known.js';
import { nodeStatusPatch } from './node-status-patch.js';
import { PodCache } from './pod-cache.js';
import { podReferences } from './pod-references.js';
import { TokenBucket } from './token-bucket.js';

describe('the pod cache', () => {
  const pod = (version: string, more: Partial<Pod> = {}): Pod => ({
    metadata: { name: 'a', namespace: 'n', uid: 'u', resourceVersion: version, managedFields: [{}] },
    spec: { containers: [] },
    ...more,
  });
  const world = (): { cache: PodCache; snapshots: PodSnapshot[]; turn: () => Promise<void> } => {
    const cache = new PodCache({ ...systemClock, now: () => 0 });
    const snapshots: PodSnapshot[] = [];
    cache.subscribe((snapshot) => snapshots.push(snapshot));
    return { cache, snapshots, turn: () => new Promise((resolve) => setImmediate(() => setImmediate(resolve))) };
  };

  test('marks pods with their source, and leaves out what nobody reads', async () => {
    const { cache, snapshots, turn } = world();
    cache.replace([pod('1')]);
    await turn();
    expect(snapshots.at(-1)?.synced).toBe(true);
    expect(snapshots.at(-1)?.pods[0]?.metadata).toMatchObject({
      annotations: { 'kubernetes.io/config.source': 'api', 'kubernetes.io/config.seen': '1970-01-01T00:00:00Z' },
    });
    expect(snapshots.at(-1)?.pods[0]?.metadata?.managedFields).toBeUndefined();
  });

  test("the node's own writes do not come back to it, those of others do", async () => {
    const { cache, snapshots, turn } = world();
    cache.replace([pod('1')]);
    await turn();
    const before = snapshots.length;
    cache.put(pod('2', { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } }));
    await turn();
    expect(snapshots).toHaveLength(before);
    expect(cache.get('u' as never)?.status?.phase).toBe('Running');
    cache.put(pod('3', { status: { phase: 'Running', conditions: [{ type: 'example.com/gate', status: 'True' }] } }));
    await turn();
    expect(snapshots).toHaveLength(before + 1);
    cache.put(pod('2'));
    expect(cache.get('u' as never)?.metadata?.resourceVersion).toBe('3');
  });

  test('many events of one turn are one snapshot; mirror pods are in none', async () => {
    const { cache, snapshots, turn } = world();
    await turn();
    const before = snapshots.length;
    const mirror = pod('1', { metadata: { uid: 'm', name: 'm', annotations: { 'kubernetes.io/config.mirror': 'h' } } });
    cache.replace([pod('1'), mirror]);
    for (let index = 0; index < 10; index++)
      cache.put({ ...pod('2'), metadata: { uid: `u${index}`, name: `p${index}`, resourceVersion: '2' } });
    await turn();
    expect(snapshots).toHaveLength(before + 1);
    expect(snapshots.at(-1)?.pods).toHaveLength(11);
    expect(cache.mirrors()).toHaveLength(1);
  });

  test('last known pods are told as such, and never after the server has spoken', async () => {
    const { cache, snapshots, turn } = world();
    cache.remember([pod('1')]);
    await turn();
    expect(snapshots.at(-1)).toMatchObject({ synced: false, pods: [{ metadata: { uid: 'u' } }] });
    cache.replace([]);
    cache.remember([pod('1')]);
    await turn();
    expect(snapshots.at(-1)).toEqual({ synced: true, pods: [] });
  });
});

describe('the last known objects', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'berth-known-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  test('come back after a restart, sealed on disk; a spoilt file is set aside and the rest stays', async () => {
    const sealer = await Sealer.open(join(dir, 'key'));
    const deps = { sealer, log: silentLogger };
    const first = await LastKnown.open(join(dir, 'known'), deps);
    first.put('Secret/n/a', { data: 'very-hidden' });
    first.put('Pod/1', { name: 'x' });
    first.put('Pod/2', { name: 'y' });
    first.remove('Pod/2');
    await first.flushed();
    const files = await readdir(join(dir, 'known'));
    expect(files).toHaveLength(2);
    for (const file of files) expect((await readFile(join(dir, 'known', file))).includes('very-hidden')).toBe(false);
    const second = await LastKnown.open(join(dir, 'known'), deps);
    expect(second.get('Secret/n/a')).toEqual({ data: 'very-hidden' });
    expect(second.keys('Pod/')).toEqual(['Pod/1']);
    await writeFile(join(dir, 'known', files[0] as string), 'spoilt');
    const third = await LastKnown.open(join(dir, 'known'), deps);
    expect([...third.keys('Pod/'), ...third.keys('Secret/')]).toHaveLength(1);
    expect((await readdir(join(dir, 'known'))).filter((name) => name.includes('.corrupt-'))).toHaveLength(1);
  });
});

describe('events', () => {
  const event = (name: string, count: number, object = 'p'): Event => ({
    metadata: { name, namespace: 'n' },
    involvedObject: { kind: 'Pod', name: object, namespace: 'n' },
    reason: 'R',
    count,
  });
  const world = (answer: (request: ApiRequest) => number): { writer: EventWriter; requests: string[] } => {
    const requests: string[] = [];
    const client = {
      json: (request: ApiRequest) => {
        const { count } = request.body as Event;
        requests.push(`${request.method} ${request.path.split('/').slice(5).join('/')} x${count}`);
        const status = answer(request);
        return status === 200
          ? Promise.resolve({})
          : Promise.reject(new ApiError('no', { code: 'status', status, reason: '' }));
      },
    } as unknown as ApiClient;
    const clock = { ...systemClock, sleep: () => Promise.resolve() };
    return { writer: new EventWriter({ perSecond: 0, burst: 0 }, { client, clock, log: silentLogger }), requests };
  };

  test('are created once and counted up after, the newest count only', async () => {
    const { writer, requests } = world(() => 200);
    writer.write(event('a', 1));
    await writer.idle();
    writer.write(event('b', 1));
    writer.write(event('a', 2));
    writer.write(event('a', 3));
    await writer.idle();
    expect(requests).toEqual(['POST events x1', 'POST events x1', 'PATCH events/a x3']);
  });

  test('one the server has forgotten is made again; one it refuses is dropped; one it was too busy for is tried again', async () => {
    const forgotten = world(({ method }) => (method === 'PATCH' ? 404 : 200));
    forgotten.writer.write(event('a', 1));
    await forgotten.writer.idle();
    forgotten.writer.write(event('a', 2));
    await forgotten.writer.idle();
    expect(forgotten.requests).toEqual(['POST events x1', 'PATCH events/a x2', 'POST events x2']);
    const refused = world(() => 403);
    refused.writer.write(event('a', 1));
    await refused.writer.idle();
    expect(refused.requests).toHaveLength(1);
    let tries = 0;
    const busy = world(() => (++tries < 3 ? 503 : 200));
    busy.writer.write(event('a', 1));
    await busy.writer.idle();
    expect(busy.requests).toHaveLength(3);
  });

  test('one object does not drown the others', async () => {
    const { writer, requests } = world(() => 200);
    for (let index = 0; index < 100; index++) writer.write(event(`noisy-${index}`, 1, 'noisy'));
    writer.write(event('quiet', 1, 'quiet'));
    await writer.idle();
    expect(requests).toHaveLength(26);
    expect(writer.dropped).toBe(75);
  });
});

test('a bucket gives its burst at once and then so many a second', () => {
  let now = 0;
  const bucket = new TokenBucket({ perSecond: 2, burst: 3 }, { now: () => now });
  expect([bucket.take(), bucket.take(), bucket.take(), bucket.take()]).toEqual([true, true, true, false]);
  now = 500;
  expect([bucket.take(), bucket.take()]).toEqual([true, false]);
  expect(bucket.waitMs()).toBe(500);
  now = -10_000;
  expect(bucket.take()).toBe(false);
});

test('the node status is patched where it differs, and what others put there stays', () => {
  const ready = { type: 'Ready', status: 'True' } as const;
  const current = {
    capacity: { cpu: '4', 'example.com/dongle': '2' },
    addresses: [{ type: 'InternalIP', address: '10.0.0.1' }],
    conditions: [ready, { type: 'Foreign', status: 'True' } as const],
    volumesAttached: [{ name: 'v', devicePath: '' }],
  };
  expect(nodeStatusPatch(current, { ...current, conditions: [ready], volumesAttached: [] })).toBeUndefined();
  expect(
    nodeStatusPatch(current, {
      capacity: { cpu: '8' },
      addresses: [{ type: 'InternalIP', address: '10.0.0.2' }],
      conditions: [{ type: 'Ready', status: 'False' }],
    }),
  ).toEqual({
    capacity: { cpu: '8' },
    addresses: [{ type: 'InternalIP', address: '10.0.0.2' }, { $patch: 'replace' }],
    conditions: [{ type: 'Ready', status: 'False' }],
  });
  // An operator gave the node something, and took it away again: neither is undone, and both show in what may be allocated.
  const dongle = { 'example.com/dongle': '2' };
  const capacity = { cpu: '4' };
  expect(
    nodeStatusPatch(
      { capacity: { ...capacity, ...dongle }, allocatable: capacity },
      { capacity, allocatable: { ...capacity, ...dongle } },
    ),
  ).toEqual({ allocatable: dongle });
  expect(
    nodeStatusPatch({ capacity, allocatable: { ...capacity, ...dongle } }, { capacity, allocatable: capacity }),
  ).toEqual({
    allocatable: { 'example.com/dongle': null },
  });
  // An empty list is not shown by the server, and is news only where there was another one.
  expect(nodeStatusPatch({}, { volumesInUse: [] })).toBeUndefined();
  expect(nodeStatusPatch({ volumesInUse: ['a'] }, { volumesInUse: [] })).toEqual({ volumesInUse: [] });
});

test('what a pod refers to is found wherever it is named', () => {
  const pod: Pod = {
    metadata: { name: 'p', namespace: 'n' },
    spec: {
      imagePullSecrets: [{ name: 'pull' }],
      initContainers: [{ name: 'i', envFrom: [{ secretRef: { name: 'env' } }] }],
      containers: [{ name: 'c', env: [{ name: 'X', valueFrom: { configMapKeyRef: { name: 'map', key: 'k' } } }] }],
      volumes: [
        { name: 'a', secret: { secretName: 'vol' } },
        { name: 'b', projected: { sources: [{ configMap: { name: 'root' } }, { secret: { name: 'proj' } }] } },
        { name: 'c', persistentVolumeClaim: { claimName: 'claim' } },
        { name: 'd', ephemeral: {} },
      ],
    },
  };
  expect([...podReferences(pod)].toSorted()).toEqual([
    'ConfigMap/n/map',
    'ConfigMap/n/root',
    'PersistentVolumeClaim/n/claim',
    'PersistentVolumeClaim/n/p-d',
    'Secret/n/env',
    'Secret/n/proj',
    'Secret/n/pull',
    'Secret/n/vol',
  ]);
});
