import { once } from 'node:events';
import { connect as http2Connect, type ClientHttp2Session } from 'node:http2';
import { connect, createServer } from 'node:net';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { serviceDefinition } from '../../proto/load.js';
import { DeviceWorld, gpu, healthy, never, rawPlugin, ready, register, signal, statusOf } from './device-world.js';

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
    await using manager = await world.manager({ timeouts: { connect: 1000, getOptions: 500 } });
    await rawPlugin(world, 'p.sock', { getOptions: never });
    expect(await world.register(register)).toMatch(/GetDevicePluginOptions.*no answer within 500 ms/);
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
