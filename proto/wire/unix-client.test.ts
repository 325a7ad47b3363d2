import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { IdentityMethods } from '../generated/csi-v1.js';
import type { DevicePluginMethods } from '../generated/deviceplugin-v1beta1.js';
import { loadService } from '../load.js';
import { probeSocket } from './probe-socket.js';
import { UnixClient } from './unix-client.js';
import { WireError } from './wire-error.js';
import { WireServices } from './wire-services.js';

let folder: string;
let server: Server | undefined;
const signal = new AbortController().signal;
/** On a machine that has other things to do. */
const slowMs = 20_000;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-wire-'));
});
afterEach(async () => {
  server?.forceShutdown();
  server = undefined;
  await rm(folder, { recursive: true });
});

type Reply = (err: object | null, value?: object) => void;

async function serve(
  path: string,
  probe: (call: unknown, reply: Reply) => void,
  definition: ServiceDefinition = loadService('csi-v1', 'csi.v1.Identity').service,
): Promise<void> {
  server = new Server();
  server.addService(definition, { probe });
  await new Promise<void>((resolve, reject) =>
    server?.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (err) => (err ? reject(err) : resolve())),
  );
}

const client = (path: string): UnixClient<IdentityMethods> =>
  new UnixClient({ socketPath: path, proto: 'csi-v1', service: 'csi.v1.Identity' });

async function failureOf(promise: Promise<unknown>): Promise<WireError> {
  const err = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(err instanceof WireError)) throw new Error(`expected a WireError, got ${String(err)}`);
  return err;
}

/** Until the client has found the server that took the place of another. */
async function eventually(look: () => Promise<WireError>, code: string): Promise<WireError> {
  const deadline = performance.now() + slowMs;
  while (true) {
    const err = await look();
    if (err.failure.code === code || performance.now() > deadline) return err;
  }
}

test('answers, and comes back after the server restarted on the same path', async () => {
  const path = join(folder, 'a.sock');
  await serve(path, (_call, reply) => reply(null, { ready: { value: true } }));
  using wire = client(path);
  expect(await wire.call('probe', {}, slowMs, signal)).toMatchObject({ ready: { value: true } });
  server?.forceShutdown();
  await rm(path, { force: true });
  expect((await failureOf(wire.call('probe', {}, slowMs, signal))).failure.code).toBe('unavailable');
  await serve(path, (_call, reply) => reply(null, { ready: { value: false } }));
  const deadline = performance.now() + slowMs;
  let answer: unknown;
  while (answer === undefined && performance.now() < deadline) {
    answer = await wire.call('probe', {}, slowMs, signal).catch(() => undefined);
  }
  expect(answer).toMatchObject({ ready: { value: false } });
});

test('keeps the code and the words of the server', async () => {
  const path = join(folder, 'b.sock');
  await serve(path, (_call, reply) => reply({ code: 9, details: 'the disk is not formatted' }));
  using wire = client(path);
  const err = await failureOf(wire.call('probe', {}, slowMs, signal));
  expect(err.message).toBe('the disk is not formatted');
  expect(err.failure).toEqual({ code: 'failed-precondition', streamBroken: false, garbled: false });
});

test('a server that never answers: deadline-exceeded, or the reason of the signal', async () => {
  const path = join(folder, 'c.sock');
  await serve(path, () => {});
  using wire = client(path);
  expect((await failureOf(wire.call('probe', {}, 100, signal))).failure.code).toBe('deadline-exceeded');
  const controller = new AbortController();
  const call = wire.call('probe', {}, 60_000, controller.signal);
  const reason = new Error('stop');
  setTimeout(() => controller.abort(reason), 50);
  await expect(call).rejects.toBe(reason);
});

test('an answer that is no message, and one that is cut off, are told apart from an INTERNAL of the server', async () => {
  const path = join(folder, 'd.sock');
  const garbage = { ...loadService('csi-v1', 'csi.v1.Identity').service };
  const { Probe } = garbage;
  if (!Probe) throw new Error('no such method');
  garbage['Probe'] = { ...Probe, responseSerialize: () => Buffer.from([0xff, 0xff, 0xff, 0xff]) };
  await serve(path, (_call, reply) => reply(null, {}), garbage);
  using wire = client(path);
  expect((await failureOf(wire.call('probe', {}, slowMs, signal))).failure).toMatchObject({
    code: 'internal',
    garbled: true,
  });
  server?.forceShutdown();
  await rm(path, { force: true });
  await serve(path, (_call, reply) => reply({ code: 13, details: 'parsing RST_STREAM failed' }));
  const honest = await eventually(() => failureOf(wire.call('probe', {}, slowMs, signal)), 'internal');
  expect(honest.failure).toEqual({ code: 'internal', streamBroken: false, garbled: false });
});

test('a stream: every message, then its end; an abort ends it with the reason', async () => {
  const path = join(folder, 'e.sock');
  const Service = loadService('deviceplugin-v1beta1', 'v1beta1.DevicePlugin');
  server = new Server();
  let open = 0;
  server.addService(Service.service, {
    listAndWatch: (call: { write(message: object): void; end(): void }) => {
      call.write({ devices: [{ ID: 'a' }] });
      if (open++ === 0) call.end();
    },
  });
  await new Promise<void>((resolve) =>
    server?.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), () => resolve()),
  );
  const services = new WireServices();
  using wire = new UnixClient<DevicePluginMethods>({
    ...{ socketPath: path, proto: 'deviceplugin-v1beta1', service: 'v1beta1.DevicePlugin', services },
  });
  const seen: unknown[] = [];
  await wire.stream('listAndWatch', {}, (message) => void seen.push(message), signal);
  expect(seen).toMatchObject([{ devices: [{ ID: 'a' }] }]);
  const controller = new AbortController();
  const reason = new Error('stop');
  const stream = wire.stream('listAndWatch', {}, () => controller.abort(reason), controller.signal);
  await expect(stream).rejects.toBe(reason);
});

test('one definition is parsed once', async () => {
  const services = new WireServices();
  const [one, other] = await Promise.all([
    services.load('csi-v1', 'csi.v1.Identity'),
    services.load('csi-v1', 'csi.v1.Identity'),
  ]);
  expect(one).toBe(other);
  await expect(services.load('csi-v1', 'csi.v1.Nothing')).rejects.toThrow('no service');
});

test('says why nobody can be reached', async () => {
  expect((await failureOf(probeSocket(join(folder, 'none.sock'), signal))).message).toContain('ENOENT');
  using wire = client(join(folder, 'x'.repeat(120)));
  expect((await failureOf(wire.call('probe', {}, slowMs, signal))).message).toContain('107 bytes');
  const path = join(folder, 'mute.sock');
  const sockets: Socket[] = [];
  const mute = createServer((socket) => sockets.push(socket));
  await new Promise<void>((resolve) => mute.listen(path, resolve));
  using other = client(path);
  expect((await failureOf(other.connect(200, signal))).message).toContain('within 200 ms');
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => mute.close(resolve));
});
