import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
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

  test.each([
    ['proxy', 'distant', () => ConnectProxy.open()],
    ['SOCKS5 proxy', 'sunken', () => SocksProxy.open('someone', 'a%b')],
  ] as const)('so does one behind the %s that the kubeconfig names', async (_what, name, open) => {
    await using proxy = await open();
    await using node = await NodeWorld.open(cluster);
    const config = JSON.parse(await readFile(node.kubeconfig, 'utf8')) as { clusters: [{ cluster: object }] };
    Object.assign(config.clusters[0].cluster, { 'proxy-url': proxy.url });
    await writeFile(node.kubeconfig, JSON.stringify(config));
    await runsAPod(node, name);
    expect(new Set(proxy.asked)).toEqual(new Set([new URL(cluster.server).host]));
  });
});

/** Connections that are passed on, both ends of which go together. */
class Passages {
  readonly #sockets = new Set<Duplex>();

  add(client: Duplex, upstream: Duplex): void {
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
  }

  async end(server: Server): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  }
}

/** Passes connections on, as the proxy of a company does. */
class ConnectProxy implements AsyncDisposable {
  readonly url: string;
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #passages = new Passages();

  private constructor(server: Server) {
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#server = server;
    server.on('connect', ({ url = '' }: { url?: string }, client: Duplex, head: Buffer) => {
      this.asked.push(url);
      const [host = '', port] = url.split(':');
      const upstream = connect(Number(port), host, () => {
        client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        upstream.write(head);
        upstream.pipe(client).pipe(upstream);
      });
      this.#passages.add(client, upstream);
    });
  }

  static async open(): Promise<ConnectProxy> {
    const server = createHttpServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new ConnectProxy(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#passages.end(this.#server);
  }
}

/** What a SOCKS5 client says first, with a name and a password (RFC 1928, 1929), and what it is answered. */
class SocksProxy implements AsyncDisposable {
  readonly url: string;
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #passages = new Passages();
  readonly #welcome: Buffer;

  private constructor(server: Server, name: string, password: string) {
    const { port } = server.address() as AddressInfo;
    this.url = `socks5://${name}:${encodeURIComponent(password)}@127.0.0.1:${port}`;
    const words = [name, password].map((word) => Buffer.from(word));
    this.#welcome = Buffer.concat([Buffer.of(1), ...words.flatMap((word) => [Buffer.of(word.length), word])]);
    this.#server = server;
    server.on('connection', (client: Socket) => {
      client.on('error', () => {});
      this.#greet(client).catch(() => client.destroy());
    });
  }

  static async open(name: string, password: string): Promise<SocksProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new SocksProxy(server, name, password);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#passages.end(this.#server);
  }

  async #greet(client: Socket): Promise<void> {
    const next = async (): Promise<Buffer> => (await once(client, 'data'))[0] as Buffer;
    const greeting = await next();
    const byPassword = 2;
    if (greeting[0] !== 5 || !greeting.subarray(2).includes(byPassword)) return void client.destroy();
    client.write(Buffer.of(5, byPassword));
    const isWelcome = (await next()).equals(this.#welcome);
    client.write(Buffer.of(1, isWelcome ? 0 : 1));
    if (!isWelcome) return void client.end();
    const wish = await next();
    const [, command, , kind] = wish;
    if (command !== 1 || kind !== 1) return void client.destroy();
    const host = [...wish.subarray(4, 8)].join('.');
    const port = wish.readUInt16BE(8);
    this.asked.push(`${host}:${port}`);
    const upstream = connect(port, host, () => {
      client.write(Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0));
      upstream.pipe(client).pipe(upstream);
    });
    this.#passages.add(client, upstream);
  }
}
