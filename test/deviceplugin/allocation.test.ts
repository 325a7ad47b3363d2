import { describe, expect, test } from 'vitest';
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

describe('allocation', () => {
  test('a plugin that never answers: the pod fails in time, the devices are free again', async () => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager({ timeouts: { allocate: 200 } });
    await rawPlugin(world, 'p.sock', { devices: healthy('a'), allocate: never });
    await world.register(register);
    await ready(manager);
    const err = await failureOf(manager.allocate(pod('pod-1', container('main', 1)), signal));
    expect(err.failure).toEqual({ code: 'plugin-timed-out', resource: gpu, verb: 'Allocate', afterMs: 200 });
    expect(statusOf(manager)?.inUse).toBe(0);
    expect((await world.readCheckpoint()).Berth.Data['Intents']).toEqual([]);
  });

  test('given up by the caller: no failure of the plugin, nothing held', async () => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager();
    const asked = new AbortController();
    await rawPlugin(world, 'p.sock', {
      devices: healthy('a'),
      allocate: async () => {
        asked.abort(new Error('the pod was deleted'));
        return await never();
      },
    });
    await world.register(register);
    await ready(manager);
    await expect(manager.allocate(pod('pod-1', container('main', 1)), asked.signal)).rejects.toThrow('was deleted');
    expect(statusOf(manager)?.inUse).toBe(0);
  });

  test('a plugin that registers again while it is asked does not disturb the pod', async () => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager();
    let answer = (): void => {};
    const slow = new Promise<void>((resolve) => (answer = resolve));
    let asked = false;
    await rawPlugin(world, 'p.sock', {
      devices: healthy('a'),
      allocate: async () => {
        asked = true;
        await slow;
        return { containerResponses: [{ envs: { A: '1' } }] };
      },
    });
    await world.register(register);
    await ready(manager);
    const allocating = manager.allocate(pod('pod-1', container('main', 1)), signal);
    await eventually('the plugin to be asked', () => asked);
    expect(await world.register(register)).toBeUndefined();
    answer();
    expect(await allocating).toMatchObject({ kind: 'allocated' });
    expect(manager.containerOptions('pod-1', 'main')?.envs).toEqual({ A: '1' });
  });

  test('a plugin that dies while it is asked is waited for', async () => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager();
    let asked = false;
    const dying = await rawPlugin(world, 'p.sock', {
      devices: healthy('a'),
      allocate: () => {
        asked = true;
        return never();
      },
    });
    await world.register(register);
    await ready(manager);
    const allocating = manager.allocate(pod('pod-1', container('main', 1)), signal);
    await eventually('the plugin to be asked', () => asked);
    await dying[Symbol.asyncDispose]();
    expect(await allocating).toMatchObject({ kind: 'wait', resource: gpu });
    expect(statusOf(manager)?.inUse).toBe(0);
    await eventually('the stop', () => statusOf(manager)?.state === 'stopped');
    await rawPlugin(world, 'p.sock', { devices: healthy('a') });
    await world.register(register);
    await ready(manager);
    expect(await manager.allocate(pod('pod-1', container('main', 1)), signal)).toMatchObject({ kind: 'allocated' });
  });

  test('fails after the intent was written: the intent was there, and is gone with the devices', async () => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager();
    let during: unknown;
    await rawPlugin(world, 'p.sock', {
      devices: healthy('a'),
      allocate: async () => {
        during = (await world.readCheckpoint()).Berth.Data['Intents'];
        throw new Error('firmware says no');
      },
    });
    await world.register(register);
    await ready(manager);
    const err = await failureOf(manager.allocate(pod('pod-1', container('main', 1)), signal));
    expect(err.failure).toMatchObject({ code: 'plugin-refused', words: 'firmware says no' });
    expect(err.message).toBe(`call Allocate of the device plugin of ${gpu}: firmware says no`);
    expect(during).toEqual([{ PodUID: 'pod-1', ContainerName: 'main', ResourceName: gpu, DeviceIDs: { '-1': ['a'] } }]);
    expect(await world.readCheckpoint()).toMatchObject({
      Data: { PodDeviceEntries: [] },
      Berth: { Data: { Intents: [] } },
    });
    expect(statusOf(manager)?.inUse).toBe(0);
  });

  test('the agent dies while the plugin is asked: the next one keeps the device for that pod', async () => {
    await using world = await DeviceWorld.open();
    const first = await world.manager();
    let hang = true;
    const seen: object[] = [];
    await rawPlugin(world, 'p.sock', {
      devices: healthy('a', 'b'),
      allocate: async (request) => {
        seen.push(request);
        return hang ? await never() : { containerResponses: [{ envs: { DEVICE: 'ok' } }] };
      },
    });
    await world.register(register);
    await ready(first);
    first.allocate(pod('pod-1', container('main', 1)), signal).catch(() => {});
    await eventually('the plugin to be asked', () => seen.length === 1);
    hang = false;

    const second = await world.manager();
    await ready(second);
    expect(second.containerOptions('pod-1', 'main')).toBeUndefined();
    await second.allocate(pod('pod-2', container('main', 1)), signal);
    await second.allocate(pod('pod-1', container('main', 1)), signal);
    expect(second.devicesOf('pod-1', 'main').map((device) => device.id)).toEqual(['a']);
    expect(second.devicesOf('pod-2', 'main').map((device) => device.id)).toEqual(['b']);
    expect(seen[2]).toEqual(seen[0]);
  });

  test.each([
    ['no containers', { containerResponses: [] }, /names no container/],
    [
      'a relative path',
      { containerResponses: [{ devices: [{ hostPath: 'dev/x', containerPath: '/dev/x' }] }] },
      /not abs/,
    ],
    [
      'odd permissions',
      { containerResponses: [{ devices: [{ hostPath: '/dev/x', containerPath: '/dev/x', permissions: 'rwx' }] }] },
      /permissions "rwx"/,
    ],
  ])('an answer that cannot be used: %s', async (_name, answer, words) => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager();
    await rawPlugin(world, 'p.sock', { devices: healthy('a'), allocate: async () => await Promise.resolve(answer) });
    await world.register(register);
    await ready(manager);
    const err = await failureOf(manager.allocate(pod('pod-1', container('main', 1)), signal));
    expect(err.failure.code).toBe('bad-answer');
    expect(err.message).toMatch(words);
  });

  test('PreStartContainer is called for those who want it; its words come through', async () => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager();
    const asked: object[] = [];
    await rawPlugin(world, 'p.sock', {
      devices: healthy('a'),
      options: { preStartRequired: true },
      preStart: async (request) => {
        asked.push(request);
        if (asked.length > 1) throw new Error('cannot reset the device');
        return await Promise.resolve({});
      },
    });
    await world.register(register);
    await ready(manager);
    const admission = pod('pod-1', container('main', 1));
    await manager.allocate(admission, signal);
    await manager.preStart(admission, 'main', signal);
    expect(asked).toEqual([{ devicesIds: ['a'] }]);
    const err = await failureOf(manager.preStart(admission, 'main', signal));
    expect(err.failure).toMatchObject({ code: 'plugin-refused', verb: 'PreStartContainer' });
    expect(err.message).toMatch(/cannot reset the device/);
  });
});
