import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { noRecorder } from '../../base/call-recorder.js';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { loadService } from '../../proto/load.js';
import type { PluginRegistration } from '../registration/plugin-handler.js';
import { CsiDrivers, type CsiDriverInfo, type CsiDriversDeps } from './csi-drivers.js';
import { CsiError } from './csi-error.js';

let folder: string;
let servers: Server[];
let drivers: CsiDrivers;
const { signal } = new AbortController();
const name = 'd.example.com';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-drivers-'));
  servers = [];
  drivers = open({});
});
afterEach(async () => {
  drivers[Symbol.dispose]();
  for (const server of servers) server.forceShutdown();
  await rm(folder, { recursive: true });
});

function open(deps: Partial<CsiDriversDeps>, registerTimeoutMs = 20_000): CsiDrivers {
  return new CsiDrivers(
    { registerTimeoutMs, callTimeoutMs: 20_000 },
    { recorder: noRecorder, clock: systemClock, log: silentLogger, ...deps },
  );
}

type Reply = (err: object | null, value?: object) => void;

/** A driver that answers NodeGetInfo and NodeGetCapabilities, and nothing else. */
async function serve(file: string, nodeGetInfo: () => object): Promise<string> {
  const path = join(folder, file);
  const server = new Server();
  server.addService(loadService('csi-v1', 'csi.v1.Node').service, {
    nodeGetInfo: (_call: unknown, reply: Reply) => {
      const answer = nodeGetInfo();
      return 'code' in answer ? reply(answer) : reply(null, answer);
    },
    nodeGetCapabilities: (_call: unknown, reply: Reply) =>
      reply(null, { capabilities: [{ rpc: { type: 'STAGE_UNSTAGE_VOLUME' } }, {}] }),
  });
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (err) => (err ? reject(err) : resolve())),
  );
  servers.push(server);
  return path;
}

function registration(endpoint: string, change: Partial<PluginRegistration> = {}): PluginRegistration {
  return {
    id: endpoint,
    type: 'CSIPlugin',
    name,
    endpoint,
    versions: ['1.2.0'],
    socketPath: `${endpoint}.reg`,
    ...change,
  };
}

async function register(plugin: PluginRegistration): Promise<void> {
  await drivers.handler.validate(plugin, signal);
  await drivers.handler.register(plugin, signal);
}

test('a node-only driver without an identity service is usable', async () => {
  await register(registration(await serve('a.sock', () => ({ nodeId: 'n1', maxVolumesPerNode: 3 }))));
  const driver = drivers.get(name);
  expect(driver.nodeInfo).toEqual({ nodeId: 'n1', maxVolumes: 3, topology: {} });
  expect([...driver.capabilities.node]).toEqual(['STAGE_UNSTAGE_VOLUME']);
  expect(driver.capabilities.controller.size).toBe(0);
});

test.each([
  ['no name for a CSI driver', { name: '../etc' }],
  ['none of its versions [0.3.0, 2.0.0] is supported', { versions: ['0.3.0', '2.0.0'] }],
])('refused: %s', async (reason, change) => {
  await expect(drivers.handler.validate(registration('/x', change), signal)).rejects.toThrow(reason);
});

test('a node without an id, or that stays unavailable, is no driver; what it said is kept', async () => {
  await expect(register(registration(await serve('a.sock', () => ({ nodeId: '' }))))).rejects.toThrow('no node id');
  expect(drivers.info(name)?.state.kind).toBe('failed');
  drivers[Symbol.dispose]();
  drivers = open({}, 1500);
  const busy = registration(await serve('b.sock', () => ({ code: 14, details: 'waiting for the array' })));
  await expect(register(busy)).rejects.toThrow('waiting for the array');
  expect(() => drivers.get(name)).toThrow(/it is failed since .*waiting for the array/);
});

test('a driver nobody has seen', () => {
  let failure: unknown;
  try {
    drivers.get('ghost');
  } catch (err) {
    failure = err;
  }
  expect((failure as CsiError).failure).toMatchObject({ code: 'not-registered', certainty: 'uncertain' });
});

test('a second driver of the same name: only a higher version takes over, unless the first one is dead', async () => {
  const first = registration(await serve('a.sock', () => ({ nodeId: 'first' })));
  await register(first);
  const second = registration(await serve('b.sock', () => ({ nodeId: 'second' })));
  await expect(register(second)).rejects.toThrow('the same or a higher version is registered');
  expect(drivers.get(name).nodeInfo.nodeId).toBe('first');
  await register({ ...second, versions: ['1.3.0'] });
  expect(drivers.get(name).nodeInfo.nodeId).toBe('second');
  // The first one goes; the second one, which took over, stays.
  await drivers.handler.deregister(first);
  expect(drivers.get(name).nodeInfo.nodeId).toBe('second');
  servers[1]?.forceShutdown();
  const third = registration(await serve('c.sock', () => ({ nodeId: 'third' })), { versions: ['1.0.0'] });
  await register(third);
  expect(drivers.get(name).nodeInfo.nodeId).toBe('third');
  await drivers.handler.deregister(third);
  expect(drivers.info(name)?.state.kind).toBe('gone');
});

test('it is announced before it is ready, and a refusal is the refusal of the registration', async () => {
  const order: string[] = [];
  let refusal: string | undefined = 'the topology label is taken';
  drivers = open({
    announce: async (driver: CsiDriverInfo) => {
      order.push(`announce ${driver.state.kind}`);
      if (refusal !== undefined) throw new Error(refusal);
    },
  });
  drivers.onChange((driver) => order.push(driver.state.kind));
  const plugin = registration(await serve('a.sock', () => ({ nodeId: 'n' })));
  await expect(register(plugin)).rejects.toThrow('the topology label is taken');
  refusal = undefined;
  await register(plugin);
  expect(order).toEqual(['registering', 'announce ready', 'failed', 'registering', 'announce ready', 'ready']);
});

test('whenReady waits for the driver, or for the signal', async () => {
  const waiting = drivers.whenReady(name, signal);
  await register(registration(await serve('a.sock', () => ({ nodeId: 'n' }))));
  expect((await waiting).name).toBe(name);
  expect((await drivers.whenReady(name, signal)).name).toBe(name);
  const controller = new AbortController();
  const never = drivers.whenReady('ghost', controller.signal);
  controller.abort(new Error('enough'));
  await expect(never).rejects.toThrow('enough');
});

test('refresh asks for the limit again and tells the listeners', async () => {
  let limit = 3;
  await register(registration(await serve('a.sock', () => ({ nodeId: 'n', maxVolumesPerNode: limit }))));
  limit = 2;
  const seen: Array<number | undefined> = [];
  drivers.onChange((driver) => seen.push(driver.state.kind === 'ready' ? driver.state.node.maxVolumes : undefined));
  await drivers.refresh(name, signal);
  expect(seen).toEqual([2]);
  expect(drivers.get(name).nodeInfo.maxVolumes).toBe(2);
  await expect(drivers.refresh('ghost', signal)).rejects.toBeInstanceOf(CsiError);
});
