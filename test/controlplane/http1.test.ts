import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasControlPlane, TestControlPlane } from '../support/control-plane.js';
import { NodeWorld } from './cluster-world.js';

describe.runIf(hasControlPlane())('a server without HTTP/2', () => {
  let cluster: TestControlPlane;
  beforeAll(async () => {
    cluster = await TestControlPlane.start({ http2: false });
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  });

  async function runsAPod(node: NodeWorld, name: string): Promise<void> {
    await using run = await node.start();
    await node.create(node.pod(name));
    await node.untilReady(name);
    await node.delete(name);
    await node.untilGone(name);
    expect(run.log.text).not.toContain('cannot be used');
  }

  test('does as well', async () => {
    await using node = await NodeWorld.open(cluster);
    await runsAPod(node, 'old');
  });

  test('so does one behind the proxy that the kubeconfig names', async () => {
    await using proxy = await ConnectProxy.open();
    await using node = await NodeWorld.open(cluster);
    const config = JSON.parse(await readFile(node.kubeconfig, 'utf8')) as { clusters: [{ cluster: object }] };
    Object.assign(config.clusters[0].cluster, { 'proxy-url': proxy.url });
    await writeFile(node.kubeconfig, JSON.stringify(config));
    await runsAPod(node, 'distant');
    expect(new Set(proxy.asked)).toEqual(new Set([new URL(cluster.server).host]));
  });
});

/** Passes connections on, as the proxy of a company does. */
class ConnectProxy implements AsyncDisposable {
  readonly url: string;
  readonly asked: string[] = [];
  readonly #server: ReturnType<typeof createServer>;
  readonly #sockets = new Set<Duplex>();

  private constructor(server: ReturnType<typeof createServer>) {
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#server = server;
    server.on('connect', ({ url = '' }, client, head) => {
      this.asked.push(url);
      const [host = '', port] = url.split(':');
      const upstream = connect(Number(port), host, () => {
        client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        upstream.write(head);
        upstream.pipe(client).pipe(upstream);
      });
      for (const [socket, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => {});
        socket.once('close', () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
      }
    });
  }

  static async open(): Promise<ConnectProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new ConnectProxy(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
