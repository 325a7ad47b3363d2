import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { noRecorder } from '../../base/call-recorder.js';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { openRemoteRuntime } from '../../cri/remote/index.js';
import { writeTestNetwork } from './cri-daemon.js';
import { DaemonFolder } from './daemon-folder.js';
import { Daemon, eventually } from './daemon.js';

/** The compiled command; `npm test` compiles first. */
export const berthMain = process.env['BERTH_MAIN'] ?? new URL('../../dist/bin/berth.js', import.meta.url).pathname;

/** `berth cri serve` in a folder of its own, with a network; disposing removes its pods and looks for leaks. */
export class BerthCriServe implements AsyncDisposable {
  readonly folder: string;
  /** Unique on the machine: for cgroups and the like. */
  readonly name: string;
  readonly endpoint: string;
  readonly #own: DaemonFolder;
  readonly #daemon: Daemon;

  private constructor(own: DaemonFolder, more: readonly string[]) {
    this.#own = own;
    this.folder = own.path;
    this.name = own.name;
    const socket = join(own.path, 'cri.sock');
    this.endpoint = `unix://${socket}`;
    const folders = { 'state-dir': 'state', 'run-dir': 'run', 'cni-conf-dir': 'net.d' };
    const flags = Object.entries(folders).flatMap(([flag, name]) => [`--${flag}`, join(own.path, name)]);
    this.#daemon = new Daemon({
      argv: [process.execPath, berthMain, 'cri', 'serve', '--socket', socket, ...flags, ...more],
      env: { PATH: process.env['PATH'] ?? '', HOME: own.path },
      logFile: join(own.path, 'berth.log'),
    });
  }

  /** `more` is said besides the folders. */
  static async open(more: readonly string[] = []): Promise<BerthCriServe> {
    const own = await DaemonFolder.open('brt-sv-');
    const served = new BerthCriServe(own, more);
    try {
      await writeTestNetwork(own.path);
      await mkdir(join(own.path, 'logs'));
      await served.start();
      return served;
    } catch (err) {
      const words = await served.#daemon.lastWords();
      await served[Symbol.asyncDispose]();
      throw new Error(`start berth cri serve: ${words}`, { cause: err });
    }
  }

  async start(): Promise<void> {
    this.#daemon.start();
    await eventually('berth cri serve is ready', async () => {
      await using runtime = await this.connect();
      const { status } = await runtime.runtime.status({}, new AbortController().signal);
      return status?.conditions?.every((condition) => condition.status === true);
    });
  }

  async kill(): Promise<void> {
    await this.#daemon.stop('SIGKILL');
  }

  connect(): ReturnType<typeof openRemoteRuntime> {
    return openRemoteRuntime(
      { endpoint: this.endpoint },
      { log: silentLogger, clock: systemClock, recorder: noRecorder },
      new AbortController().signal,
    );
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
    for (const { id: podSandboxId } of items) await runtime.runtime.removePodSandbox({ podSandboxId }, signal);
  }
}
