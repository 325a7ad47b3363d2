import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { noRecorder } from '../../base/call-recorder.js';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { runProgram } from '../../base/run-program.js';
import { openDockerRuntime, type DockerRuntimeDeps } from '../../cri/docker/index.js';
import type { SandboxNetwork } from '../../cri/index.js';
import { makeBusyboxImage } from '../setup/busybox-image.js';
import { Daemon, eventually } from './daemon.js';
import { DaemonFolder } from './daemon-folder.js';
import { hostProgram, tryHostProgram } from './host-program.js';

/** Undefined when a Docker daemon can be started here, else what is missing. */
export function missingForDocker(): string | undefined {
  return ['/usr/sbin/dockerd', '/usr/bin/docker', '/usr/bin/containerd', '/usr/sbin/runc', '/bin/busybox'].find(
    (path) => !existsSync(path),
  );
}

/** A Docker daemon of its own in a temporary folder, without networks of its own; disposing removes all it made. */
export class Dockerd implements AsyncDisposable {
  readonly folder: string;
  readonly socket: string;
  readonly #daemon: Daemon;
  /** Docker's own would die with it and, where process 1 does not reap, be taken for alive at the next start. */
  readonly #containerd: Daemon;
  readonly #own: DaemonFolder;

  private constructor(own: DaemonFolder) {
    const folder = own.path;
    this.folder = folder;
    this.#own = own;
    this.socket = join(folder, 'docker.sock');
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: folder };
    this.#containerd = new Daemon({
      argv: ['/usr/bin/containerd', '-c', join(folder, 'containerd.toml')],
      env,
      logFile: join(folder, 'containerd.log'),
    });
    this.#daemon = new Daemon({
      argv: [
        '/usr/sbin/dockerd',
        `--data-root=${folder}/data`,
        `--exec-root=${folder}/exec`,
        `--pidfile=${folder}/docker.pid`,
        `--host=unix://${this.socket}`,
        `--containerd=${folder}/containerd.sock`,
        '--bridge=none',
        '--iptables=false',
        '--ip6tables=false',
        '--ip-forward=false',
        '--ip-masq=false',
      ],
      env,
      logFile: join(folder, 'dockerd.log'),
    });
  }

  static async open(): Promise<Dockerd> {
    const own = await DaemonFolder.open('brt-dk-');
    const dockerd = new Dockerd(own);
    try {
      await writeFile(join(own.path, 'containerd.toml'), containerdConfig(own.path));
      dockerd.#containerd.start();
      await dockerd.start();
      const archive = join(dockerd.folder, 'busybox.tar');
      await makeBusyboxImage({ path: archive, format: 'docker-archive' });
      await dockerd.docker('load', '-i', archive);
      return dockerd;
    } catch (err) {
      const words = await dockerd.#daemon.lastWords();
      await dockerd[Symbol.asyncDispose]();
      throw new Error(`start dockerd: ${words}`, { cause: err });
    }
  }

  get name(): string {
    return this.#own.name;
  }

  async start(): Promise<void> {
    // One that was killed left its own.
    await rm(join(this.folder, 'docker.pid'), { force: true });
    this.#daemon.start();
    await eventually('dockerd answers', async () => {
      if (!this.#daemon.running) this.#daemon.start();
      const result = await tryHostProgram(['/usr/bin/docker', '-H', `unix://${this.socket}`, 'version']);
      return result.end.kind === 'exited' && result.end.code === 0;
    });
  }

  async stop(name: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#daemon.stop(name);
  }

  /** It answers nothing from now on, and does nothing. */
  freeze(): void {
    process.kill(this.#daemon.pid ?? 0, 'SIGSTOP');
  }

  thaw(): void {
    process.kill(this.#daemon.pid ?? 0, 'SIGCONT');
  }

  async docker(...args: string[]): Promise<string> {
    return await hostProgram(['/usr/bin/docker', '-H', `unix://${this.socket}`, ...args], 60_000);
  }

  connect(network: SandboxNetwork, deps: Partial<DockerRuntimeDeps> = {}): ReturnType<typeof openDockerRuntime> {
    return openDockerRuntime(
      { socketPath: this.socket, stateDir: join(this.folder, 'berth') },
      { run: runProgram, log: silentLogger, clock: systemClock, recorder: noRecorder, network, ...deps },
      new AbortController().signal,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#daemon.running) {
      const ids = (await this.docker('ps', '-aq')).split('\n').filter((id) => id !== '');
      if (ids.length > 0) await this.docker('rm', '-f', ...ids);
    }
    await this.#daemon.stop('SIGTERM');
    await this.#containerd.stop('SIGTERM');
    await this.#own[Symbol.asyncDispose]();
  }
}

const containerdConfig = (folder: string): string => `version = 2
root = '${folder}/containerd'
state = '${folder}/containerd-state'
disabled_plugins = ['io.containerd.grpc.v1.cri']
[grpc]
  address = '${folder}/containerd.sock'
[plugins.'io.containerd.internal.v1.opt']
  path = '${folder}/opt'
`;
