import { connect, createServer, type Server } from 'node:net';
import { JoinedSockets } from '../support/joined-sockets.js';

/** A unix socket in front of a runtime's that knows when the runtime last said something. */
export class RuntimeClock implements AsyncDisposable {
  readonly endpoint: string;
  readonly #server: Server;
  readonly #sockets = new JoinedSockets();
  /** When answers came, ms of the wall clock, newest last. */
  readonly #answers: number[] = [];

  private constructor(path: string, target: string) {
    this.endpoint = `unix://${path}`;
    this.#server = createServer((client) => {
      const runtime = connect(target);
      this.#sockets.join(client, runtime);
      runtime.on('data', () => this.#answers.push(Date.now()));
      client.pipe(runtime);
      runtime.pipe(client);
    });
    this.#server.listen(path);
  }

  static async open(path: string, target: string): Promise<RuntimeClock> {
    const clock = new RuntimeClock(path, target);
    await new Promise<void>((resolve) => clock.#server.once('listening', resolve));
    return clock;
  }

  /** The last answer before a moment. */
  lastBefore(at: number): number | undefined {
    return this.#answers.findLast((each) => each <= at);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#sockets.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
