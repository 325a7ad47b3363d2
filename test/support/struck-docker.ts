import { connect, createServer, type Server, type Socket } from 'node:net';
import { JoinedSockets } from './joined-sockets.js';

export type DockerDeed =
  | 'pull'
  | 'create sandbox'
  | 'start sandbox'
  | 'create container'
  | 'start container'
  | 'stop container'
  | 'stop sandbox'
  | 'remove container'
  | 'remove sandbox';

interface Strike {
  readonly deed: DockerDeed;
  readonly moment: 'under way' | 'answer lost';
  readonly trouble: () => Promise<void>;
}

/** What Docker is given to do before the trouble comes, when it comes in the middle. */
const headStartMs = 15;

/** A Docker socket in front of another that cuts the line in the middle of a request, one after the other. */
export class StruckDocker implements AsyncDisposable {
  readonly path: string;
  readonly #target: string;
  readonly #server: Server;
  readonly #sockets = new JoinedSockets();
  readonly #kinds = new Map<string, 'sandbox' | 'container'>();
  readonly #strikes: Strike[] = [];
  #inTrouble = false;
  /** Until the trouble is over nobody is let through: else a request might pass before its own trouble can come. */
  #isDown = false;

  private constructor(path: string, target: string) {
    this.path = path;
    this.#target = target;
    this.#server = createServer((client) => this.#join(client));
  }

  static async open(path: string, target: string): Promise<StruckDocker> {
    const proxy = new StruckDocker(path, target);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(path, resolve);
    });
    return proxy;
  }

  /** In the order they come, one that fails stays for ever in trouble; one at a time, what is asked meanwhile meets the trouble anyway. */
  strike(deed: DockerDeed, moment: Strike['moment'], trouble: () => Promise<void>): void {
    this.#strikes.push({ deed, moment, trouble });
  }

  get armed(): DockerDeed[] {
    return this.#strikes.map(({ deed }) => deed);
  }

  get calm(): boolean {
    return !this.#inTrouble && this.#strikes.length === 0;
  }

  #join(client: Socket): void {
    if (this.#isDown) return void client.destroy();
    const target = connect(this.#target);
    let strike: Strike | undefined;
    let creates: 'sandbox' | 'container' | undefined;
    this.#sockets.join(client, target);
    const begin = (hit: Strike): void => {
      this.#isDown = true;
      this.#sockets.cut();
      hit.trouble().then(
        () => {
          this.#inTrouble = false;
          this.#isDown = false;
        },
        () => {},
      );
    };
    client.on('data', (chunk: Buffer) => {
      const deed = this.#deedOf(chunk.toString('latin1'));
      creates = deed === 'create sandbox' ? 'sandbox' : deed === 'create container' ? 'container' : creates;
      target.write(chunk);
      if (deed === undefined || this.#inTrouble || this.#strikes[0]?.deed !== deed) return;
      strike = this.#strikes.shift() as Strike;
      this.#inTrouble = true;
      const hit = strike;
      if (hit.moment === 'under way') setTimeout(() => begin(hit), headStartMs);
    });
    target.on('data', (chunk: Buffer) => {
      const id = /"Id":"([0-9a-f]{64})"/.exec(chunk.toString('latin1'))?.[1];
      if (id !== undefined && creates !== undefined) this.#kinds.set(id, creates);
      creates = undefined;
      if (strike?.moment === 'answer lost') begin(strike);
      else client.write(chunk);
    });
  }

  #deedOf(request: string): DockerDeed | undefined {
    const [, method = '', path = ''] = /^([A-Z]+) (?:\/v[\d.]+)?(\/\S+) HTTP\/1\.1\r\n/.exec(request) ?? [];
    if (method === 'POST' && path.startsWith('/images/create')) return 'pull';
    const created = /^\/containers\/create\?.*name=k8s_(POD_)?/.exec(path);
    if (created !== null) return created[1] === undefined ? 'create container' : 'create sandbox';
    const [, id = '', action = ''] = /^\/containers\/([0-9a-f]{64})(?:\/(\w+))?/.exec(path) ?? [];
    const kind = this.#kinds.get(id);
    if (kind === undefined) return undefined;
    if (method === 'DELETE') return `remove ${kind}`;
    if (action === 'stop' || action === 'kill') return `stop ${kind}`;
    return action === 'start' ? `start ${kind}` : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#sockets.cut();
    await closed;
  }
}
