import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { IdentityMethods } from '../../proto/generated/csi-v1.js';
import { loadService } from '../../proto/load.js';
import { UnixClient, probeSocket } from './unix-client.js';
import { WireError } from './wire-error.js';

let folder: string;
let server: Server | undefined;
const signal = new AbortController().signal;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-wire-'));
});
afterEach(async () => {
  server?.forceShutdown();
  server = undefined;
  await rm(folder, { recursive: true });
});

type Reply = (err: object | null, value?: object) => void;

async function serve(path: string, probe: (call: unknown, reply: Reply) => void): Promise<void> {
  server = new Server();
  server.addService(loadService('csi-v1', 'csi.v1.Identity').service, { probe });
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

test('answers, and comes back after the server restarted on the same path', async () => {
  const path = join(folder, 'a.sock');
  await serve(path, (_call, reply) => reply(null, { ready: { value: true } }));
  using wire = client(path);
  expect(await wire.call('probe', {}, 2000, signal)).toMatchObject({ ready: { value: true } });
  server?.forceShutdown();
  await rm(path, { force: true });
  expect((await failureOf(wire.call('probe', {}, 2000, signal))).failure.code).toBe('unavailable');
  await serve(path, (_call, reply) => reply(null, { ready: { value: false } }));
  const deadline = performance.now() + 5000;
  let answer: unknown;
  while (answer === undefined && performance.now() < deadline) {
    answer = await wire.call('probe', {}, 2000, signal).catch(() => undefined);
  }
  expect(answer).toMatchObject({ ready: { value: false } });
});

test('keeps the code and the words of the server', async () => {
  const path = join(folder, 'b.sock');
  await serve(path, (_call, reply) => reply({ code: 9, details: 'the disk is not formatted' }));
  using wire = client(path);
  const err = await failureOf(wire.call('probe', {}, 2000, signal));
  expect(err.message).toBe('the disk is not formatted');
  expect(err.failure).toEqual({ code: 'failed-precondition', streamBroken: false });
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

test('says why nobody can be reached', async () => {
  expect((await failureOf(probeSocket(join(folder, 'none.sock'), signal))).message).toContain('ENOENT');
  using wire = client(join(folder, 'x'.repeat(120)));
  expect((await failureOf(wire.call('probe', {}, 100, signal))).message).toContain('107 bytes');
  const path = join(folder, 'mute.sock');
  const sockets: Socket[] = [];
  const mute = createServer((socket) => sockets.push(socket));
  await new Promise<void>((resolve) => mute.listen(path, resolve));
  using other = client(path);
  expect((await failureOf(other.connect(200, signal))).message).toContain('within 200 ms');
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => mute.close(resolve));
});
