import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, test } from 'vitest';
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

const run = (probe: Probe): Promise<ProbeOutcome> =>
  runProbe({ probe, container: { name: 'main' }, containerId: 'c1', podIp: '127.0.0.1' }, deps, never);

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
    message: expect.stringMatching(`dial tcp 127.0.0.1:${port}: .*REFUSED`),
  });
});
