import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { CriError } from '../../cri/index.js';
import type { RuntimeService } from '../../cri/index.js';
import type { Probe } from '../api/index.js';
import { httpGet } from './http-get.js';
import { runProbe, type ProbeOutcome } from './run-probe.js';

const never = new AbortController().signal;
const deps = {
  runtime: {} as RuntimeService,
  httpGet,
  grpcHealth: () => Promise.reject(new Error('not asked for')),
  kubeVersion: '1.36',
};

const run = (probe: Probe, runtime = deps.runtime): Promise<ProbeOutcome> => {
  const container = { name: 'main', ports: [{ name: 'web', containerPort: 1 }] };
  return runProbe({ probe, container, containerId: 'c1', podIp: '127.0.0.1' }, { ...deps, runtime }, never);
};

test.each([
  ['says nothing', ''],
  ['greets', '220 mail.example ESMTP\r\n'],
])('tcp: a server that %s sees its peer leave without an error', async (_what, greeting) => {
  await using server = createServer((socket) => void socket.write(greeting));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const connected = once(server, 'connection') as Promise<[Socket]>;
  expect(await run({ tcpSocket: { port } })).toEqual({ result: 'success' });
  const [socket] = await connected;
  const [hadError] = (await once(socket.resume(), 'close')) as [boolean];
  expect(hadError).toBe(false);
});

test('tcp: a port where nobody listens is a failure that names it', async () => {
  const server = createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  await once(server.close(), 'close');
  const outcome = await run({ tcpSocket: { port } });
  expect(outcome).toMatchObject({
    result: 'failure',
    message: `dial tcp 127.0.0.1:${port}: connect: connection refused`,
  });
});

test('http: a port where nobody listens, and a server that never answers, in the words of a kubelet', async () => {
  expect(await run({ httpGet: { port: 'web', path: '/x' } })).toEqual({
    result: 'failure',
    message: 'Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused',
  });
  const sockets: Socket[] = [];
  await using silent = createServer((socket) => void sockets.push(socket));
  await once(silent.listen(0, '127.0.0.1'), 'listening');
  const { port } = silent.address() as AddressInfo;
  expect(await run({ httpGet: { port } })).toEqual({
    result: 'failure',
    message: `Get "http://127.0.0.1:${port}/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`,
  });
  for (const socket of sockets) socket.destroy();
});

test('exec: a command that takes too long is named, with its time', async () => {
  const execSync = (): Promise<never> => Promise.reject(new CriError('too long', { code: 'deadline-exceeded' }));
  expect(await run({ exec: { command: ['sleep', '10'] }, timeoutSeconds: 2 }, { execSync } as never)).toEqual({
    result: 'failure',
    message: 'command timed out: "sleep 10" timed out after 2s',
  });
});
