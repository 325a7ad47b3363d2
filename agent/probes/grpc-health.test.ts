import { Server, ServerCredentials } from '@grpc/grpc-js';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterEach, expect, test, vi } from 'vitest';
import { loadService } from '../../proto/load.js';
import { grpcHealth } from './grpc-health.js';

afterEach(() => vi.unstubAllEnvs());

test('pods are asked directly, whatever proxy the node has', async () => {
  const health = new Server();
  health.addService(loadService('health-v1', 'grpc.health.v1.Health').service, {
    check: (_call: unknown, reply: (err: null, answer: object) => void) => reply(null, { status: 'SERVING' }),
  });
  const port = await new Promise<number>((resolve, reject) =>
    health.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (err, bound) =>
      err ? reject(err) : resolve(bound),
    ),
  );
  let proxied = 0;
  await using proxy = createServer((socket) => {
    proxied++;
    socket.destroy();
  });
  await once(proxy.listen(0, '127.0.0.1'), 'listening');
  const { port: proxyPort } = proxy.address() as AddressInfo;
  for (const name of ['http_proxy', 'https_proxy', 'grpc_proxy']) vi.stubEnv(name, `http://127.0.0.1:${proxyPort}`);
  for (const name of ['no_proxy', 'no_grpc_proxy']) vi.stubEnv(name, '');
  try {
    const asked = grpcHealth('127.0.0.1', port, '', 'kube-probe/1.36', AbortSignal.timeout(10_000));
    expect(await asked).toBe('SERVING');
    expect(proxied).toBe(0);
  } finally {
    health.forceShutdown();
  }
});
