import { spawn, type ChildProcess } from 'node:child_process';

/**
 * A device plugin that only knows `/var/lib/kubelet`: it gets a mount namespace of its own where `folder` lies there. It may be killed and
 * started again.
 */
export class MountedPlugin implements AsyncDisposable {
  readonly #program: string;
  readonly #folder: string;
  #child: ChildProcess | undefined;
  #log = '';

  constructor(program: string, folder: string) {
    this.#program = program;
    this.#folder = folder;
  }

  /** Everything its last run has said. */
  get log(): string {
    return this.#log;
  }

  start(): void {
    const script = [
      'mount -t tmpfs none /var/lib',
      'mkdir -p /var/lib/kubelet/device-plugins',
      'mount --bind "$FOLDER" /var/lib/kubelet/device-plugins',
      'exec "$PLUGIN"',
    ].join(' && ');
    const child = spawn('unshare', ['-m', 'sh', '-c', script], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: process.env['PATH'], FOLDER: this.#folder, PLUGIN: this.#program },
    });
    this.#log = '';
    child.stderr.on('data', (text: Buffer) => (this.#log += text.toString()));
    this.#child = child;
  }

  /** Resolves when it is dead; its socket stays. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
