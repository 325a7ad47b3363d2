import { connect, createServer, type Server, type Socket } from 'node:net';
import { JoinedSockets } from './joined-sockets.js';

/** A unix socket in front of another one that can be told to misbehave. */
export class UnreliableSocket implements AsyncDisposable {
  readonly path: string;
  readonly #target: string;
  readonly #server: Server;
  readonly #sockets = new JoinedSockets();
  /** Answers of the other side are kept back: calls hang. */
  #mute = false;

  private constructor(path: string, target: string) {
    this.path = path;
    this.#target = target;
    this.#server = createServer((client) => this.#join(client));
  }

  static async open(path: string, target: string): Promise<UnreliableSocket> {
    const proxy = new UnreliableSocket(path, target);
    await proxy.listen();
    return proxy;
  }

  get endpoint(): string {
    return `unix://${this.path}`;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.path, resolve);
    });
  }

  /** The socket is gone, with everything that went through it. */
  async vanish(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#sockets.cut();
    await closed;
  }

  mute(): void {
    this.#mute = true;
  }

  /** Connections that were mute are cut: what they missed never comes. */
  speak(): void {
    this.#mute = false;
    this.#sockets.cut();
  }

  #join(client: Socket): void {
    const target = connect(this.#target);
    this.#sockets.join(client, target);
    client.on('data', (chunk) => target.write(chunk));
    target.on('data', (chunk) => {
      if (!this.#mute) client.write(chunk);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.vanish();
  }
}
