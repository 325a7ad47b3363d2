import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Connections that are passed on, both ends of which go together. */
export class Passages {
  readonly #server: Server;
  readonly #sockets = new Set<Duplex>();

  constructor(server: Server) {
    this.#server = server;
    // Also those that nobody has asked anything on, or whose other side is gone without a word.
    server.on('connection', (client: Socket) => this.#hold(client));
  }

  add(client: Duplex, upstream: Duplex): void {
    this.#hold(upstream);
    client.once('close', () => upstream.destroy());
    upstream.once('close', () => client.destroy());
  }

  async end(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #hold(socket: Duplex): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => this.#sockets.delete(socket));
  }
}

/** Passes connections on, as the proxy of a company does. */
export class ConnectProxy implements AsyncDisposable {
  readonly url: string;
  readonly asked: string[] = [];
  readonly #passages: Passages;

  private constructor(server: Server) {
    const { address, port } = server.address() as AddressInfo;
    this.url = `http://${address}:${port}`;
    this.#passages = new Passages(server);
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
    await this.#passages.end();
  }
}

/** What a SOCKS5 client says first, with a name and a password (RFC 1928, 1929), and what it is answered. */
export class SocksProxy implements AsyncDisposable {
  readonly url: string;
  readonly asked: string[] = [];
  readonly #passages: Passages;
  readonly #welcome: Buffer;

  private constructor(server: Server, name: string, password: string) {
    const { address, port } = server.address() as AddressInfo;
    this.url = `socks5://${name}:${encodeURIComponent(password)}@${address}:${port}`;
    const words = [name, password].map((word) => Buffer.from(word));
    this.#welcome = Buffer.concat([Buffer.of(1), ...words.flatMap((word) => [Buffer.of(word.length), word])]);
    this.#passages = new Passages(server);
    server.on('connection', (client: Socket) => {
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
    await this.#passages.end();
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
