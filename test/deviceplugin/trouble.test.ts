import { once } from 'node:events';
import { connect as http2Connect, type ClientHttp2Session } from 'node:http2';
import { connect, createServer } from 'node:net';
import { mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock, type Clock } from '../../base/clock.js';
import { orAbort } from '../../base/signals.js';
import { DevicePluginError } from '../../deviceplugin/index.js';
import { checkpointChecksum } from '../../deviceplugin/checkpoint/checkpoint-checksum.js';
import { serviceDefinition } from '../../proto/load.js';
import { hostProgram } from '../support/host-program.js';
import {
  DeviceWorld,
  container,
  eventually,
  gpu,
  healthy,
  pod,
  rawPlugin,
  ready,
  signal,
  statusOf,
} from './device-world.js';

const never = (): Promise<never> => new Promise(() => {});
const register = { endpoint: 'p.sock', resourceName: gpu };

async function failureOf(promise: Promise<unknown>): Promise<DevicePluginError> {
  const err = await promise.then(
    (value) => new Error(`it succeeded: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (err instanceof DevicePluginError) return err;
  throw err;
}

/** The time in which pods that run are asked for is over when the test says so, and no sooner. */
class SettlingClock implements Clock {
  readonly settleMs = 87_654;
  #aheadMs = 0;
  #end = (): void => {};

  now(): number {
    return Date.now() + this.#aheadMs;
  }

  async sleep(ms: number, until: AbortSignal): Promise<void> {
    if (ms !== this.settleMs) return await systemClock.sleep(ms, until);
    const ended = new Promise<void>((resolve) => (this.#end = resolve));
    await orAbort(ended, until);
  }

  settle(): void {
    this.#aheadMs += this.settleMs;
    this.#end();
  }
}

/** What a call that is refused is told, made as older gRPC in Go makes it: the authority is the path of the socket. */
async function callByPath(session: ClientHttp2Session, socket: string, message: Buffer): Promise<string> {
  const call = session.request({
    ...{ ':method': 'POST', ':scheme': 'http', ':path': '/v1beta1.Registration/Register', ':authority': socket },
    ...{ 'content-type': 'application/grpc', te: 'trailers' },
  });
  const header = Buffer.alloc(5);
  header.writeUInt32BE(message.length, 1);
  call.resume().end(Buffer.concat([header, message]));
  const [answer] = (await once(call, 'response')) as [Record<string, unknown>];
  return decodeURIComponent(String(answer['grpc-message']));
}

test('a plugin whose gRPC calls the socket by its path is heard', async () => {
  await using world = await DeviceWorld.open();
  await using _manager = await world.manager();
  const socket = join(world.plugins, 'kubelet.sock');
  const session = http2Connect('http://localhost', { createConnection: () => connect(socket) });
  try {
    const definition = serviceDefinition('deviceplugin-v1beta1', 'v1beta1.Registration');
    for (const version of ['v1alpha1', 'v1alpha2']) {
      const message = definition['Register']?.requestSerialize({ ...register, version });
      expect(await callByPath(session, socket, message ?? Buffer.alloc(0))).toContain(`speaks ${version}`);
    }
  } finally {
    session.destroy();
  }
});

describe('registrations that are refused', () => {
  test.each([
    ['a wrong version', { ...register, version: 'v1alpha1' }, /speaks v1alpha1, this node speaks v1beta1/],
    ['no version', { ...register, version: '' }, /no version/],
    ['a name without a domain', { ...register, resourceName: 'gpu' }, /not the name of an extended resource.*domain/],
    ['a name of Kubernetes', { ...register, resourceName: 'kubernetes.io/gpu' }, /belongs to Kubernetes/],
    ['no endpoint', { ...register, endpoint: '' }, /must be the name of a socket/],
    ['an endpoint elsewhere', { ...register, endpoint: '../../etc/x.sock' }, /must be the name of a socket/],
    ['an endpoint nobody serves', register, /p\.sock cannot be opened \(ENOENT\)/],
  ])('%s', async (_name, request, words) => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager();
    expect(await world.register(request)).toMatch(words);
    expect(manager.status()).toEqual([]);
  });

  test('a plugin that never tells its options, and one that speaks no gRPC', async () => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager({ timeouts: { connect: 200, getOptions: 200 } });
    await rawPlugin(world, 'p.sock', { getOptions: never });
    expect(await world.register(register)).toMatch(/GetDevicePluginOptions.*no answer within 200 ms/);
    const noise = createServer((socket) => {
      socket.on('error', () => {});
      socket.end('SSH-2.0-nonsense\r\n');
    });
    await new Promise<void>((resolve) => noise.listen(join(world.plugins, 'noise.sock'), resolve));
    try {
      expect(await world.register({ ...register, endpoint: 'noise.sock' })).toMatch(/GetDevicePluginOptions/);
    } finally {
      noise.close();
    }
    expect(manager.status()).toEqual([]);
  });

  test('a resource that the node’s configuration offers', async () => {
    await using world = await DeviceWorld.open();
    await using _manager = await world.manager({ pools: [{ resource: gpu, paths: ['/dev/null'] }] });
    await rawPlugin(world, 'p.sock', { devices: healthy('a') });
    expect(await world.register(register)).toMatch(/device pool of this node/);
  });
});

test('what lies in the folder: sockets are wiped, other files stay, the registration socket is new', async () => {
  await using world = await DeviceWorld.open();
  await mkdir(world.plugins, { recursive: true });
  await writeFile(join(world.plugins, 'DEPRECATION'), '');
  await rawPlugin(world, 'kubelet.sock', {});
  await rawPlugin(world, 'foreign.sock', {});
  const before = (await stat(join(world.plugins, 'kubelet.sock'))).ino;
  await using manager = await world.manager();
  expect((await readdir(world.plugins)).sort()).toEqual(['DEPRECATION', 'kubelet.sock']);
  expect((await stat(join(world.plugins, 'kubelet.sock'))).ino).not.toBe(before);
  expect(manager.checkpointMissing).toBe(true);
  expect(manager.serving).toBe(true);
});

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

describe('the checkpoint', () => {
  test('that is corrupt, and its copy too, is set aside and said; the manager starts without', async () => {
    await using world = await DeviceWorld.open();
    await mkdir(world.plugins, { recursive: true });
    await writeFile(world.checkpoint, '{"Data":{"PodDeviceEn');
    await writeFile(`${world.checkpoint}.copy`, '');
    await using manager = await world.manager({ settleMs: 0 });
    expect(manager.notes).toEqual([expect.stringMatching(/unreadable .*JSON.* is now .*corrupt-\d+/)]);
    const aside = (await readdir(world.plugins)).find((name) => name.includes('.corrupt-'));
    expect(await readFile(join(world.plugins, aside ?? ''), 'utf8')).toBe('{"Data":{"PodDeviceEn');
    expect(manager.checkpointMissing).toBe(false);
    await rawPlugin(world, 'p.sock', { devices: healthy('a') });
    await world.register(register);
    await ready(manager);
    await manager.allocate(pod('pod-1', container('main', 1)), signal);
  });

  test('that became corrupt: the copy tells who holds what, and no device is handed out twice', async () => {
    await using world = await DeviceWorld.open();
    const first = await world.manager();
    await rawPlugin(world, 'p.sock', { devices: healthy('a', 'b') });
    await world.register(register);
    await ready(first);
    await first.allocate(pod('pod-1', container('main', 1)), signal);
    await first[Symbol.asyncDispose]();
    await writeFile(world.checkpoint, '{"Data":{"PodDeviceEn');
    await using second = await world.manager();
    expect(second.notes).toEqual([expect.stringMatching(/unreadable .* its copy was read$/)]);
    await ready(second);
    expect(second.devicesOf('pod-1', 'main').map(({ id }) => id)).toEqual(['a']);
    await second.allocate(pod('pod-2', container('main', 1)), signal);
    expect(second.devicesOf('pod-2', 'main').map(({ id }) => id)).toEqual(['b']);
  });

  test('that is lost while pods run: nothing is handed out before they ended, and they do not start without', async () => {
    await using world = await DeviceWorld.open();
    await mkdir(world.plugins, { recursive: true });
    await writeFile(world.checkpoint, 'rubbish');
    const clock = new SettlingClock();
    await using manager = await world.manager({ settleMs: clock.settleMs }, clock);
    const told: string[] = [];
    using _listening = manager.subscribe(({ resource }) => told.push(resource));
    await rawPlugin(world, 'p.sock', { devices: healthy('a', 'b') });
    await world.register(register);
    await ready(manager);
    // One that comes before those that run were asked for.
    const late = pod('late', container('main', 1));
    expect(await manager.allocate(late, signal)).toMatchObject({
      kind: 'wait',
      reason: expect.stringContaining('being looked at') as string,
    });
    const runs = pod('runs', { ...container('main', 1), running: true });
    expect(await manager.allocate(runs, signal)).toEqual({ kind: 'allocated', ignored: [] });
    expect(manager.holders()).toEqual(['runs']);
    clock.settle();
    await eventually('the pods that wait to be woken', () => told.includes(''));
    expect(await manager.allocate(late, signal)).toMatchObject({
      kind: 'wait',
      resource: gpu,
      reason: expect.stringContaining('before these pods end: default/runs') as string,
    });
    expect(await manager.allocate(pod('other', container('main', 1, 'regular', 'example.com/none')), signal)).toEqual({
      kind: 'allocated',
      ignored: ['example.com/none'],
    });
    const again = await failureOf(manager.preStart(runs, 'main', signal));
    expect(again.failure).toEqual({ code: 'holders-unknown', resource: gpu });
    told.length = 0;
    await manager.release('runs', signal);
    expect(told).toEqual([gpu]);
    expect(await manager.allocate(late, signal)).toMatchObject({ kind: 'allocated' });
  });

  test('of a kubelet is taken over', async () => {
    await using world = await DeviceWorld.open();
    await mkdir(world.plugins, { recursive: true });
    const entry = {
      PodUID: 'pod-1',
      ContainerName: 'main',
      ResourceName: gpu,
      DeviceIDs: { '0': ['b'] },
      AllocResp: '',
    };
    const data = { PodDeviceEntries: [entry], RegisteredDevices: { [gpu]: ['a', 'b'] } };
    await writeFile(world.checkpoint, JSON.stringify({ Data: data, Checksum: checkpointChecksum(data) }));
    await using manager = await world.manager();
    expect(manager.notes).toEqual([expect.stringContaining('written by a kubelet')]);
    await rawPlugin(world, 'p.sock', { devices: healthy('a', 'b') });
    await world.register(register);
    await ready(manager);
    await manager.allocate(pod('pod-2', container('main', 1)), signal);
    expect(manager.devicesOf('pod-2', 'main').map((device) => device.id)).toEqual(['a']);
  });

  test('that cannot be written: nothing is granted', async () => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager();
    let asked = 0;
    await rawPlugin(world, 'p.sock', {
      devices: healthy('a'),
      allocate: async () => {
        asked++;
        return await Promise.resolve({ containerResponses: [{}] });
      },
    });
    await world.register(register);
    await ready(manager);
    await eventually('the first checkpoint', async () => await stat(world.checkpoint).catch(() => undefined));
    // A full disk: nothing can be written into the folder.
    await hostProgram(['mount', '--bind', '-o', 'ro', world.plugins, world.plugins]);
    try {
      await hostProgram(['mount', '-o', 'remount,bind,ro', world.plugins]);
      const err = await failureOf(manager.allocate(pod('pod-1', container('main', 1)), signal));
      expect(err.failure).toEqual({ code: 'checkpoint', path: world.checkpoint });
      expect(asked).toBe(0);
      expect(statusOf(manager)?.inUse).toBe(0);
    } finally {
      await hostProgram(['umount', '--lazy', world.plugins]);
    }
    expect(await manager.allocate(pod('pod-1', container('main', 1)), signal)).toMatchObject({ kind: 'allocated' });
  });
});

test('a full filesystem under the checkpoint: nothing is granted, what was granted stays, and room is enough to go on', async () => {
  await using world = await DeviceWorld.open();
  await mkdir(world.plugins, { recursive: true });
  const image = join(world.root, 'disk');
  await hostProgram(['truncate', '-s', '2M', image]);
  await hostProgram(['mkfs.ext4', '-q', '-m', '0', image]);
  await hostProgram(['mount', '-o', 'loop', image, world.plugins]);
  try {
    await using manager = await world.manager();
    let answer = {};
    await rawPlugin(world, 'p.sock', {
      devices: healthy('a', 'b'),
      allocate: async () => await Promise.resolve({ containerResponses: [answer] }),
    });
    await world.register(register);
    await ready(manager);
    await manager.allocate(pod('pod-1', container('main', 1)), signal);
    const entries = async (): Promise<unknown> => (await world.readCheckpoint()).Data['PodDeviceEntries'];
    const before = await entries();
    expect(before).toHaveLength(1);
    // More than the blocks hold that the file has already.
    answer = { envs: { LONG: 'x'.repeat(50_000) } };
    const ballast = join(world.plugins, 'ballast');
    await hostProgram(['dd', 'if=/dev/zero', `of=${ballast}`, 'bs=1k', 'status=none']).catch(() => {});
    const err = await failureOf(manager.allocate(pod('pod-2', container('main', 1)), signal));
    expect(err.failure).toEqual({ code: 'checkpoint', path: world.checkpoint });
    expect(err.message).toContain('ENOSPC');
    expect(statusOf(manager)?.inUse).toBe(1);
    expect(await entries()).toEqual(before);
    // The copy is tried in the background.
    const tidy = async (): Promise<boolean> => (await readdir(world.plugins)).every((name) => !name.includes('.tmp-'));
    await eventually('nothing half written', tidy);
    await rm(ballast);
    // A filesystem may take a moment to give room back.
    const again = async (): Promise<boolean> =>
      (await manager.allocate(pod('pod-2', container('main', 1)), signal).catch(() => undefined))?.kind === 'allocated';
    await eventually('room to go on', again);
    expect(await entries()).toHaveLength(2);
  } finally {
    await hostProgram(['umount', '--lazy', world.plugins]);
  }
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

test('plugins of the plugin watcher: registered, dropped when their socket goes', async () => {
  await using world = await DeviceWorld.open();
  await using manager = await world.manager();
  const server = await rawPlugin(world, '../watched.sock', { devices: healthy('a') });
  const info = {
    id: '1',
    type: 'DevicePlugin',
    name: gpu,
    endpoint: server.path,
    versions: ['v1beta1'],
    socketPath: server.path,
  };
  const { handler } = manager;
  await expect(handler.validate({ ...info, versions: ['v2'] }, signal)).rejects.toThrow(/speaks v2/);
  await handler.validate(info, signal);
  await handler.register(info, signal);
  await ready(manager);
  await handler.register({ ...info, id: '2' }, signal);
  await handler.deregister(info);
  expect(statusOf(manager)?.state).toBe('ready');
  await handler.deregister({ ...info, id: '2' });
  expect(statusOf(manager)).toMatchObject({ state: 'stopped', capacity: 1, allocatable: 0 });
});

describe('device pools', () => {
  const serial = 'example.com/serial';
  const makeNode = async (path: string): Promise<void> =>
    void (await hostProgram(['mknod', '-m', '0666', path, 'c', '1', '5']));

  test('hot-plug: devices come and go with their nodes; a used one that goes is unhealthy', async () => {
    await using world = await DeviceWorld.open();
    const dev = join(world.root, 'dev');
    await using manager = await world.manager({
      pools: [{ resource: serial, paths: [join(dev, 'ttyUSB*')], permissions: 'rwm' }],
    });
    expect(manager.capacity()).toEqual([{ resource: serial, capacity: 0, allocatable: 0 }]);
    await mkdir(dev);
    await makeNode(join(dev, 'ttyUSB0'));
    await writeFile(join(dev, 'ttyUSB9'), 'no device');
    await eventually('the first device', () => statusOf(manager, serial)?.capacity === 1);
    await manager.allocate(pod('pod-1', container('main', 1, 'regular', serial)), signal);
    expect(manager.containerOptions('pod-1', 'main')?.devices).toEqual([
      { hostPath: join(dev, 'ttyUSB0'), containerPath: join(dev, 'ttyUSB0'), permissions: 'rwm' },
    ]);
    await makeNode(join(dev, 'ttyUSB1'));
    await eventually('the second device', () => statusOf(manager, serial)?.capacity === 2);
    await hostProgram(['rm', join(dev, 'ttyUSB0')]);
    await eventually('the loss', () => statusOf(manager, serial)?.capacity === 1);
    expect(manager.containerHealth('pod-1', 'main')[0]?.resources[0]?.health).toBe('Unhealthy');
    await hostProgram(['rm', '-r', dev]);
    await eventually('all to be gone', () => statusOf(manager, serial)?.capacity === 0);
    await mkdir(dev);
    await makeNode(join(dev, 'ttyUSB0'));
    await eventually(
      'it to be back',
      () => manager.containerHealth('pod-1', 'main')[0]?.resources[0]?.health === 'Healthy',
    );
  });

  test('a shared device is handed out as often as it is shared, and once to a container', async () => {
    await using world = await DeviceWorld.open();
    const zero = { resource: 'example.com/zero', paths: ['/dev/zero'], share: 3 };
    await using manager = await world.manager({ pools: [zero] });
    expect(manager.capacity()).toEqual([{ resource: zero.resource, capacity: 3, allocatable: 3 }]);
    const wish = (uid: string, count: number): Promise<unknown> =>
      manager.allocate(pod(uid, container('main', count, 'regular', zero.resource)), signal);
    await wish('pod-1', 2);
    expect(manager.containerOptions('pod-1', 'main')?.devices).toEqual([
      { hostPath: '/dev/zero', containerPath: '/dev/zero', permissions: 'rw' },
    ]);
    await wish('pod-2', 1);
    expect((await failureOf(wish('pod-3', 1))).failure.code).toBe('insufficient');
    await manager.retainOnly(new Set(['pod-2']), signal);
    await wish('pod-3', 2);
  });
});
