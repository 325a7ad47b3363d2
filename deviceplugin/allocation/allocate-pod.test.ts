import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DevicePluginError } from '../device-plugin-error.js';
import type { Device } from '../devices/device.js';
import type { DeviceEndpoint } from '../devices/endpoint.js';
import { grantedIds, Grants } from '../devices/grants.js';
import { newEntry, type ResourceEntry, type ResourceState } from '../devices/resource-table.js';
import type { ContainerKind, ContainerRequest, PodAdmission } from './admission.js';
import { allocatePod, type AllocateDeps } from './allocate-pod.js';

const signal = new AbortController().signal;
const gpu = 'example.com/gpu';

interface World extends AllocateDeps {
  /** What the checkpoint would hold after each write: `pod/container` with `?` for an intent. */
  readonly written: string[][];
  readonly asked: string[][];
  entryNow: ResourceEntry | undefined;
  failAllocate: (ids: readonly string[]) => boolean;
  failSave: boolean;
  now: () => number;
}

function world(count: number, options: { hasPreference?: boolean; state?: ResourceState } = {}): World {
  const grants = new Grants();
  const devices: Device[] = Array.from({ length: count }, (_, at) => ({
    id: `d${at}`,
    healthy: true,
    numaNodes: [at % 2],
  }));
  const written: string[][] = [];
  const asked: string[][] = [];
  const endpoint: DeviceEndpoint = {
    resource: gpu,
    socketPath: undefined,
    options: { preStartRequired: false, hasPreference: options.hasPreference ?? false },
    watch() {},
    preferred: async (request) => await Promise.resolve([...request.available].reverse()),
    async allocate(ids) {
      await Promise.resolve();
      asked.push([...ids]);
      if (made.failAllocate(ids)) {
        throw new DevicePluginError('call Allocate: out of magic', {
          code: 'plugin-refused',
          resource: gpu,
          verb: 'Allocate',
          words: 'out of magic',
        });
      }
      return { envs: { IDS: ids.join(',') } };
    },
    preStart: async () => await Promise.resolve(),
    async [Symbol.asyncDispose]() {},
  };
  const made: World = {
    graceMs: 1000,
    now: () => 500,
    grants,
    written,
    asked,
    failAllocate: () => false,
    failSave: false,
    entryNow: {
      ...newEntry(gpu, options.state ?? { kind: 'ready' }),
      devices: new Map(devices.map((device) => [device.id, device])),
      endpoint,
    },
    entry: (resource) => (resource === gpu ? made.entryNow : undefined),
    async save() {
      await Promise.resolve();
      if (made.failSave) throw new Error('disk full');
      written.push(grants.all().map((g) => `${g.podUid}/${g.container}${g.response === undefined ? '?' : ''}`));
    },
  };
  return made;
}

const container = (name: string, count: number, kind: ContainerKind = 'regular'): ContainerRequest => ({
  name,
  kind,
  limits: { [gpu]: count },
});
const pod = (uid: string, ...containers: ContainerRequest[]): PodAdmission => ({
  uid,
  namespace: 'default',
  name: uid,
  containers,
});
const held = (w: World, uid: string, name: string): readonly string[] => {
  const grant = w.grants.get(uid, name, gpu);
  return grant === undefined ? [] : grantedIds(grant);
};

test('the intent is on the disk before the plugin is asked, the answer after', async () => {
  const w = world(2);
  const order: string[] = [];
  const { save } = w;
  const watched: AllocateDeps = {
    ...w,
    save: async () => {
      order.push(`save, asked ${w.asked.length}`);
      await save();
    },
  };
  expect(await allocatePod(pod('p', container('c', 1)), watched, signal)).toEqual({ kind: 'allocated', ignored: [] });
  expect(order).toEqual(['save, asked 0', 'save, asked 1']);
  expect(w.written).toEqual([['p/c?'], ['p/c']]);
});

test('repeating it changes nothing and asks nobody', async () => {
  const w = world(2);
  const admission = pod('p', container('c', 1));
  await allocatePod(admission, w, signal);
  await allocatePod(admission, w, signal);
  expect(w.asked).toHaveLength(1);
  expect(w.written).toHaveLength(2);
});

describe('reuse', () => {
  test('regular containers take over what init containers had; each regular one its own', async () => {
    const w = world(4);
    const admission = pod('p', container('i', 2, 'init'), container('a', 1), container('b', 1));
    await allocatePod(admission, w, signal);
    expect(new Set([...held(w, 'p', 'a'), ...held(w, 'p', 'b')])).toEqual(new Set(held(w, 'p', 'i')));
    expect(w.grants.inUse(gpu).size).toBe(2);
  });

  test('what a sidecar has nobody takes over', async () => {
    const w = world(4);
    await allocatePod(pod('p', container('s', 1, 'sidecar'), container('a', 1)), w, signal);
    expect(held(w, 'p', 'a')).not.toEqual(held(w, 'p', 's'));
  });

  test('a sidecar may take over an init container’s, and keeps it', async () => {
    const w = world(3);
    await allocatePod(pod('p', container('i', 1, 'init'), container('s', 1, 'sidecar'), container('a', 1)), w, signal);
    expect(held(w, 'p', 's')).toEqual(held(w, 'p', 'i'));
    expect(held(w, 'p', 'a')).not.toEqual(held(w, 'p', 's'));
  });
});

describe('failures', () => {
  test('give back what this call took, on the disk too, and say the plugin’s words', async () => {
    const w = world(4);
    w.failAllocate = (ids) => ids.length === 2;
    await expect(allocatePod(pod('p', container('a', 1), container('b', 2)), w, signal)).rejects.toThrow(
      'out of magic',
    );
    expect(w.grants.all()).toEqual([]);
    expect(w.written.at(-1)).toEqual([]);
    w.failAllocate = () => false;
    await allocatePod(pod('q', container('a', 4)), w, signal);
    expect(held(w, 'q', 'a')).toHaveLength(4);
  });

  test('leave what the pod held before', async () => {
    const w = world(4);
    await allocatePod(pod('p', container('a', 1)), w, signal);
    w.failAllocate = () => true;
    await expect(allocatePod(pod('p', container('a', 1), container('b', 1)), w, signal)).rejects.toThrow('magic');
    expect(w.grants.all().map((grant) => grant.container)).toEqual(['a']);
  });

  test('a disk that cannot be written: nothing is granted and nobody asked', async () => {
    const w = world(1);
    w.failSave = true;
    await expect(allocatePod(pod('p', container('a', 1)), w, signal)).rejects.toThrow('disk full');
    expect(w.asked).toEqual([]);
    expect(w.grants.all()).toEqual([]);
  });

  test('too few devices in the kubelet’s words', async () => {
    const w = world(2);
    await allocatePod(pod('p', container('a', 1)), w, signal);
    await expect(allocatePod(pod('q', container('a', 2)), w, signal)).rejects.toThrow(
      'requested number of devices unavailable for example.com/gpu. Requested: 2, Available: 1',
    );
    const sick = { id: 'd0', healthy: false, numaNodes: [] };
    if (w.entryNow !== undefined) w.entryNow = { ...w.entryNow, devices: new Map([['d0', sick]]) };
    await expect(allocatePod(pod('r', container('a', 1)), w, signal)).rejects.toMatchObject({
      message: 'no healthy devices present; cannot allocate unhealthy devices example.com/gpu',
      failure: { code: 'insufficient', requested: 1, available: 0 },
    });
  });

  test('a changed request, and a held device that fell ill', async () => {
    const w = world(2);
    await allocatePod(pod('p', container('a', 1)), w, signal);
    await expect(allocatePod(pod('p', container('a', 2)), w, signal)).rejects.toMatchObject({
      failure: { code: 'request-changed' },
    });
    if (w.entryNow !== undefined) w.entryNow = { ...w.entryNow, devices: new Map() };
    await expect(allocatePod(pod('p', container('a', 1)), w, signal)).rejects.toMatchObject({
      failure: { code: 'unhealthy', devices: ['d0'] },
    });
    const running = { ...container('a', 1), running: true };
    expect(await allocatePod(pod('p', running), w, signal)).toEqual({ kind: 'allocated', ignored: [] });
  });
});

describe('a plugin that is away', () => {
  test.each<[string, ResourceState, string]>([
    ['was here before', { kind: 'awaited', since: 100 }, 'was here before'],
    ['stopped', { kind: 'stopped', since: 100, reason: 'it crashed' }, 'it crashed'],
    ['lists nothing yet', { kind: 'listing', since: 100 }, 'has not listed'],
  ])('that %s is waited for until its deadline', async (_name, state, words) => {
    const w = world(1, { state });
    expect(await allocatePod(pod('p', container('a', 1)), w, signal)).toEqual({
      kind: 'wait',
      resource: gpu,
      until: 1100,
      reason: expect.stringContaining(words) as string,
    });
    w.now = () => 1100;
    await expect(allocatePod(pod('p', container('a', 1)), w, signal)).rejects.toMatchObject({
      failure: { code: 'plugin-absent', resource: gpu },
    });
  });

  test('does not matter to containers that run', async () => {
    const w = world(1, { state: { kind: 'awaited', since: 100 } });
    const running = { ...container('a', 1), running: true };
    expect((await allocatePod(pod('p', running), w, signal)).kind).toBe('allocated');
  });
});

test('what nobody ever offered is passed over and said', async () => {
  const w = world(1);
  const odd = { name: 'a', kind: 'regular', limits: { 'example.com/never': 1 } } as const;
  expect(await allocatePod(pod('p', odd), w, signal)).toEqual({ kind: 'allocated', ignored: ['example.com/never'] });
});

test('an intent left by a crash is taken up with the same devices', async () => {
  const w = world(4);
  w.grants.set({ podUid: 'p', container: 'a', resource: gpu, byNuma: new Map([[1, ['d3']]]), response: undefined });
  await allocatePod(pod('q', container('a', 3)), w, signal);
  expect(held(w, 'q', 'a')).not.toContain('d3');
  await allocatePod(pod('p', container('a', 1)), w, signal);
  expect(held(w, 'p', 'a')).toEqual(['d3']);
  expect(w.asked.at(-1)).toEqual(['d3']);
});

test('affinity is asked per container, when the devices of those before are chosen', async () => {
  const w = world(4);
  const seen: string[] = [];
  const admission: PodAdmission = {
    ...pod('p', container('a', 1), container('b', 1)),
    affinity: (request) => {
      seen.push(`${request.name} after ${w.grants.inUse(gpu).size}`);
      return [1];
    },
  };
  await allocatePod(admission, w, signal);
  expect(seen).toEqual(['a after 0', 'b after 1']);
  expect([...held(w, 'p', 'a'), ...held(w, 'p', 'b')]).toEqual(['d1', 'd3']);
});

const anyPod = fc.array(
  fc.record({
    kind: fc.constantFrom<ContainerKind[]>('init', 'sidecar', 'regular'),
    count: fc.integer({ min: 0, max: 3 }),
  }),
  { minLength: 1, maxLength: 4 },
);

test('many pods at once: no device is ever with two pods, nor with two containers that run together', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyPod, { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      fc.nat(),
      async (pods, hasPreference, failEvery) => {
        const w = world(8, { hasPreference });
        let calls = 0;
        w.failAllocate = () => ++calls % ((failEvery % 5) + 2) === 0;
        const admissions = pods.map((containers, at) =>
          pod(
            `p${at}`,
            ...[...containers]
              .sort((a, b) => Number(a.kind === 'regular') - Number(b.kind === 'regular'))
              .map(({ kind, count }, index) => container(`c${index}`, count, kind)),
          ),
        );
        const results = await Promise.allSettled(admissions.map((admission) => allocatePod(admission, w, signal)));
        const owners = new Map<string, string>();
        for (const [at, admission] of admissions.entries()) {
          const stays = new Set<string>();
          for (const { name, kind, limits } of admission.containers) {
            const ids = held(w, admission.uid, name);
            expect(ids).toHaveLength(results[at]?.status === 'fulfilled' ? (limits[gpu] ?? 0) : 0);
            for (const id of ids) {
              expect(owners.get(id) ?? admission.uid).toBe(admission.uid);
              owners.set(id, admission.uid);
              // An init container may only have what no sidecar before it has; the others none of what stays.
              expect(stays.has(id)).toBe(false);
              if (kind !== 'init') stays.add(id);
            }
          }
        }
        expect(w.grants.all().filter((grant) => grant.response === undefined)).toEqual([]);
      },
    ),
    { numRuns: 200 },
  );
});
