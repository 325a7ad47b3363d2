import { expect, test } from 'vitest';
import {
  podResourcesSocket,
  servePodResources,
  type PodResourcesFacts,
  type PodResourcesOptions,
} from '../../deviceplugin/index.js';
import { UnixClient } from '../../proto/wire/index.js';
import type { PodResourcesListerMethods } from '../../proto/generated/podresources-v1.js';
import type { PodResourcesListerMethods as AlphaMethods } from '../../proto/generated/podresources-v1alpha1.js';
import { DeviceWorld, container, eventually, gpu, healthy, pod, rawPlugin, ready, signal } from './device-world.js';

/** On a machine that has other things to do. */
const slowMs = 60_000;

async function serve(
  world: DeviceWorld,
  onRequest?: PodResourcesOptions['onRequest'],
): Promise<UnixClient<PodResourcesListerMethods>> {
  const manager = await world.manager();
  const topology = { nodes: [{ ID: 1 }] };
  await rawPlugin(world, 'p.sock', {
    devices: [{ ID: 'a', health: 'Healthy', topology }, ...healthy('b'), { ID: 'c', health: 'Unhealthy' }],
  });
  await world.register({ endpoint: 'p.sock', resourceName: gpu });
  await ready(manager);
  await manager.allocate(pod('uid-1', container('main', 1)), signal);
  const facts: PodResourcesFacts = {
    activePods: () => [
      { uid: 'uid-1', namespace: 'default', name: 'web', containers: ['side', 'main'] },
      { uid: 'uid-2', namespace: 'other', name: 'web', containers: ['main'] },
    ],
    devicesOf: (uid, name) => manager.devicesOf(uid, name),
    allocatableDevices: () => manager.allocatableDevices(),
    cpusOf: (uid, name) => (uid === 'uid-1' && name === 'main' ? [2, 3] : []),
    allocatableCpus: () => [0, 1, 2, 3],
    memoryOf: () => [],
    allocatableMemory: () => [{ type: 'memory', bytes: 2 ** 34, numaNodes: [0] }],
    dynamicResourcesOf: (uid) => (uid === 'uid-2' ? [{ claimName: 'c', claimNamespace: 'other' }] : []),
  };
  world.own(await servePodResources(world.root, facts, { onRequest }));
  return new UnixClient({
    socketPath: podResourcesSocket(world.root),
    proto: 'podresources-v1',
    service: 'v1.PodResourcesLister',
  });
}

test('List, Get and GetAllocatableResources as monitoring agents read them', async () => {
  await using world = await DeviceWorld.open();
  using client = await serve(world);
  const list = await client.call('list', {}, slowMs, signal);
  expect(list.podResources).toMatchObject([
    {
      name: 'web',
      namespace: 'default',
      containers: [
        { name: 'side', devices: [], cpuIds: [] },
        {
          name: 'main',
          devices: [{ resourceName: gpu, deviceIds: ['a'], topology: { nodes: [{ ID: 1 }] } }],
          cpuIds: [2, 3],
        },
      ],
    },
    { namespace: 'other', containers: [{ name: 'main', dynamicResources: [{ claimName: 'c' }] }] },
  ]);
  const got = await client.call('get', { podName: 'web', podNamespace: 'default' }, slowMs, signal);
  expect(got.podResources).toEqual(list.podResources?.[0]);
  expect(await client.call('getAllocatableResources', {}, slowMs, signal)).toMatchObject({
    devices: [
      { resourceName: gpu, deviceIds: ['a'], topology: { nodes: [{ ID: 1 }] } },
      { resourceName: gpu, deviceIds: ['b'], topology: null },
    ],
    cpuIds: [0, 1, 2, 3],
    memory: [{ memoryType: 'memory', size: 2 ** 34, topology: { nodes: [{ ID: 0 }] } }],
  });
  await expect(client.call('get', { podName: 'no', podNamespace: 'default' }, slowMs, signal)).rejects.toThrow(
    'pod no in namespace default not found',
  );
});

test('v1alpha1, for agents of old: devices only; every request is told', async () => {
  await using world = await DeviceWorld.open();
  const told: string[] = [];
  using v1 = await serve(world, (method, version, failed) => told.push(`${version} ${method} ${failed}`));
  using client = new UnixClient<AlphaMethods>({
    socketPath: podResourcesSocket(world.root),
    proto: 'podresources-v1alpha1',
    service: 'v1alpha1.PodResourcesLister',
  });
  const list = await client.call('list', {}, slowMs, signal);
  expect(list.podResources).toMatchObject([
    {
      name: 'web',
      namespace: 'default',
      containers: [
        { name: 'side', devices: [] },
        { name: 'main', devices: [{ resourceName: gpu, deviceIds: ['a'] }] },
      ],
    },
    { name: 'web', namespace: 'other' },
  ]);
  await expect(v1.call('get', { podName: 'no', podNamespace: 'x' }, slowMs, signal)).rejects.toThrow('not found');
  expect(told).toEqual(['v1alpha1 list false', 'v1 get true']);
});

test('more than the allowed calls are refused, and said so', async () => {
  await using world = await DeviceWorld.open();
  using client = await serve(world);
  // A hundred come back every second: a machine that takes its time with so many refuses none of them.
  let served = 0;
  const refused = await eventually('more calls than that', async () => {
    const calls = Array.from({ length: 60 }, () => client.call('getAllocatableResources', {}, slowMs, signal));
    const failed = (await Promise.allSettled(calls)).filter((result) => result.status === 'rejected');
    served += calls.length - failed.length;
    return failed.length > 0 && failed;
  });
  expect(served).toBeGreaterThanOrEqual(10);
  expect(String(refused[0]?.reason)).toContain('rejected by rate limit');
});
