import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { serviceDefinition } from '../../proto/load.js';
import {
  DeviceWorld,
  container,
  eventually,
  failureOf,
  gpu,
  healthy,
  never,
  pod,
  rawPlugin,
  ready,
  register,
  signal,
  statusOf,
} from './device-world.js';

describe('streams', () => {
  test('garbage ends the endpoint with the reason; it is asked again and may recover', async () => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager();
    let good = false;
    const { UnixServer } = await import('../../deviceplugin/wire/unix-server.js');
    const definition = serviceDefinition('deviceplugin-v1beta1', 'v1beta1.DevicePlugin');
    const real = definition['ListAndWatch'];
    if (real === undefined) throw new Error('no ListAndWatch');
    const garbled = {
      ...definition,
      ListAndWatch: {
        ...real,
        responseSerialize: (value: object) =>
          good ? real.responseSerialize(value) : Buffer.from([0x0a, 0xff, 0xff, 0xff, 0x0f]),
      },
    };
    world.own(
      await UnixServer.listen(
        join(world.plugins, 'p.sock'),
        [
          {
            definition: garbled,
            methods: {
              getDevicePluginOptions: async () => await Promise.resolve({}),
              allocate: never,
              preStartContainer: never,
              getPreferredAllocation: never,
            },
            streams: { listAndWatch: (call) => call.write({ devices: healthy('a') }) },
          },
        ],
        0o750,
      ),
    );
    expect(await world.register(register)).toBeUndefined();
    const stopped = await eventually('the stop', () => {
      const status = statusOf(manager);
      return status?.state === 'stopped' ? status : undefined;
    });
    expect(stopped.reason).toMatch(/its answer cannot be read/);
    expect(stopped).toMatchObject({ capacity: 0, allocatable: 0 });
    good = true;
    expect(await ready(manager)).toMatchObject({ allocatable: 1 });
  });

  test('a stream that ends while the plugin lives is opened again by the agent', async () => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager();
    let opened = 0;
    await rawPlugin(world, 'p.sock', {
      list: (call) => {
        call.write({ devices: healthy('a') });
        if (++opened === 1) call.end();
      },
    });
    await world.register(register);
    await eventually('a second stream', () => opened === 2);
    await ready(manager);
  });

  test('odd devices: without an id, twice, with an unknown health', async () => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager();
    const odd = [{ ID: '', health: 'Healthy' }, ...healthy('a', 'a', 'b'), { ID: 'c', health: 'Fine, thanks' }];
    await rawPlugin(world, 'p.sock', { devices: odd });
    await world.register(register);
    expect(await ready(manager)).toMatchObject({ capacity: 3, allocatable: 2 });
  });

  test('registered twice: the newest wins, also over one that answers late', async () => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager();
    let release = (): void => {};
    const slow = new Promise<void>((resolve) => (release = resolve));
    let asked = false;
    await rawPlugin(world, 'slow.sock', {
      getOptions: async () => {
        asked = true;
        await slow;
        return {};
      },
      devices: healthy('slow'),
    });
    await rawPlugin(world, 'old.sock', { devices: healthy('old') });
    await rawPlugin(world, 'new.sock', { devices: healthy('new') });
    await world.register({ ...register, endpoint: 'old.sock' });
    await ready(manager);
    const late = world.register({ ...register, endpoint: 'slow.sock' });
    await eventually('the slow one to be asked', () => asked);
    expect(await world.register({ ...register, endpoint: 'new.sock' })).toBeUndefined();
    release();
    expect(await late).toMatch(/a newer registration/);
    await eventually('the new devices', () => manager.allocatableDevices().some((device) => device.id === 'new'));
    expect(manager.allocatableDevices().map((device) => device.id)).toEqual(['new']);
    expect(statusOf(manager)?.socketPath).toBe(join(world.plugins, 'new.sock'));
  });
});

test('a plugin that stays away past the grace: capacity 0, never gone from the list; pods are refused', async () => {
  await using world = await DeviceWorld.open();
  await using manager = await world.manager({ graceMs: 300 });
  const plugin = await rawPlugin(world, 'p.sock', { devices: healthy('a') });
  await world.register(register);
  await ready(manager);
  const changes: number[] = [];
  using _listening = manager.subscribe((change) => {
    if (change.capacity) changes.push(manager.capacity()[0]?.capacity ?? -1);
  });
  await plugin[Symbol.asyncDispose]();
  await eventually('the capacity to be 0', () => manager.capacity()[0]?.capacity === 0);
  expect(statusOf(manager)?.state).toBe('gone');
  const err = await failureOf(manager.allocate(pod('pod-1', container('main', 1)), signal));
  expect(err.failure).toEqual({ code: 'plugin-absent', resource: gpu });
  await eventually('the change to be told', () => changes.at(-1) === 0);
  expect(changes[0]).toBe(1);
});
