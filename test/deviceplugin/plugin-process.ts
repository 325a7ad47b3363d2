import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A device plugin as a process of its own; it may be killed and started again. */
export class PluginProcess implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly #argv: readonly string[];
  #child: ChildProcess | undefined;

  constructor(main: string, args: readonly string[]) {
    this.#argv = [main, ...args];
  }

  start(): void {
    const child = spawn(process.execPath, this.#argv, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { PATH: process.env['PATH'] },
    });
    createInterface({ input: child.stdout }).on('line', (line) => this.lines.push(line));
    this.#child = child;
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** Resolves when it is dead. SIGKILL leaves its socket, SIGTERM takes it away. */
  async stop(name: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(name);
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL');
  }
}
