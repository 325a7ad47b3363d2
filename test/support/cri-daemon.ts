import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { noRecorder } from '../../base/call-recorder.js';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { openRemoteRuntime } from '../../cri/remote/index.js';
import { makeBusyboxImage } from '../setup/busybox-image.js';
import { Daemon, eventually } from './daemon.js';
import type { DaemonFolder } from './daemon-folder.js';

export const busyboxReference = 'docker.io/library/busybox:latest';
export const pauseReference = 'berth.test/pause:1';

export interface CriDaemonOptions {
  /** For messages: `containerd 1.6`. */
  readonly name: string;
  /** Comes first in the daemon's PATH. */
  readonly binDir: string;
  readonly argv: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  readonly socketName: string;
}

/**
 * A runtime daemon of the test's own that speaks CRI, with images and a network in a temporary folder; disposing removes all it made and
 * looks for leaks. What is peculiar to a runtime (configuration, how images come in) is said by its class.
 */
export abstract class CriDaemon implements AsyncDisposable {
  readonly folder: string;
  /** Unique on the machine: for cgroups and the like. */
  readonly name: string;
  readonly socket: string;
  readonly endpoint: string;
  readonly #title: string;
  readonly #own: DaemonFolder;
  readonly #daemon: Daemon;

  protected constructor(own: DaemonFolder, options: CriDaemonOptions) {
    const { name, binDir, argv, socketName } = options;
    this.#own = own;
    this.#title = name;
    this.folder = own.path;
    this.name = own.name;
    this.socket = join(own.path, socketName);
    this.endpoint = `unix://${this.socket}`;
    const path = `${binDir}:/usr/sbin:/usr/bin:/sbin:/bin`;
    const env = { PATH: path, HOME: own.path, TMPDIR: own.path, ...options.env };
    this.#daemon = new Daemon({ argv, env, logFile: join(own.path, 'daemon.log') });
  }

  /** Before the first start: folders and configuration. */
  protected abstract configure(): Promise<void>;

  /** Takes an OCI archive in, as if it had been pulled. */
  abstract importImage(path: string, reference: string): Promise<void>;

  /** Whether images come in through the daemon, or into its store while it is away. */
  protected abstract readonly importsWhileUp: boolean;

  protected abstract readonly pauseCommand: readonly string[];

  protected async up(): Promise<this> {
    try {
      await writeTestNetwork(this.folder);
      await this.configure();
      if (!this.importsWhileUp) await this.#importImages();
      await this.start();
      if (this.importsWhileUp) await this.#importImages();
      return this;
    } catch (err) {
      const words = await this.#daemon.lastWords();
      await this[Symbol.asyncDispose]();
      throw new Error(`start ${this.#title}: ${words}`, { cause: err });
    }
  }

  get pid(): number | undefined {
    return this.#daemon.pid;
  }

  async start(): Promise<void> {
    this.#daemon.start();
    await eventually(`${this.#title} is ready`, async () => {
      await using runtime = await this.connect();
      const { status } = await runtime.runtime.status({}, new AbortController().signal);
      return status?.conditions?.every((condition) => condition.status === true);
    });
  }

  async kill(): Promise<void> {
    await this.#daemon.stop('SIGKILL');
  }

  /** It answers nothing from now on, and does nothing. */
  freeze(): void {
    process.kill(this.pid ?? 0, 'SIGSTOP');
  }

  thaw(): void {
    process.kill(this.pid ?? 0, 'SIGCONT');
  }

  connect(): ReturnType<typeof openRemoteRuntime> {
    return openRemoteRuntime(
      { endpoint: this.endpoint },
      { log: silentLogger, clock: systemClock, recorder: noRecorder },
      new AbortController().signal,
    );
  }

  async #importImages(): Promise<void> {
    const busybox = join(this.folder, 'busybox.tar');
    const pause = join(this.folder, 'pause.tar');
    await makeBusyboxImage({ path: busybox, reference: busyboxReference, format: 'oci-archive' });
    const config = { cmd: [...this.pauseCommand] };
    await makeBusyboxImage({ path: pause, reference: pauseReference, format: 'oci-archive', config });
    await this.importImage(busybox, busyboxReference);
    await this.importImage(pause, pauseReference);
    if (!this.importsWhileUp) return;
    await using runtime = await this.connect();
    await eventually('the images are known to CRI', async () => {
      const image = { image: busyboxReference };
      return (await runtime.images.imageStatus({ image }, new AbortController().signal)).image !== null;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#daemon.running) await this.#removePods();
    await this.#daemon.stop('SIGTERM');
    await this.#own[Symbol.asyncDispose]();
  }

  async #removePods(): Promise<void> {
    const { signal } = new AbortController();
    await using runtime = await this.connect();
    const { items = [] } = await runtime.runtime.listPodSandbox({}, signal);
    await Promise.all(
      items.map(async ({ id: podSandboxId }) => {
        await runtime.runtime.stopPodSandbox({ podSandboxId }, signal);
        await runtime.runtime.removePodSandbox({ podSandboxId }, signal);
      }),
    );
  }
}

export async function writeTestNetwork(folder: string): Promise<void> {
  const subnet = `10.${100 + Math.floor(Math.random() * 100)}.${Math.floor(Math.random() * 250)}.0/24`;
  const conf = {
    cniVersion: '0.4.0',
    name: 'berth-test',
    plugins: [
      {
        type: 'ptp',
        ipMasq: false,
        ipam: { type: 'host-local', dataDir: join(folder, 'ipam'), ranges: [[{ subnet }]] },
      },
    ],
  };
  await mkdir(join(folder, 'net.d'), { recursive: true });
  await writeFile(join(folder, 'net.d', '10-test.conflist'), JSON.stringify(conf));
}
