import { spawn, type ChildProcess } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Fault } from '../../csi/driver/examples/faults.js';

export interface ExampleDriverOptions {
  readonly main: string;
  readonly name: string;
  readonly nodeId: string;
  /** For its volumes, its socket and its fault switches. */
  readonly folder: string;
  readonly registry?: string | undefined;
  readonly flags?: readonly string[] | undefined;
}

/** The example CSI driver as a process of its own; it may be killed and started again. */
export class ExampleDriver implements AsyncDisposable {
  readonly name: string;
  readonly socket: string;
  readonly #options: ExampleDriverOptions;
  readonly #faults: string;
  #child: ChildProcess | undefined;

  constructor(options: ExampleDriverOptions) {
    this.#options = options;
    this.name = options.name;
    this.socket = join(options.folder, 'csi.sock');
    this.#faults = join(options.folder, 'faults.json');
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    const { main, folder, nodeId, registry, flags = [] } = this.#options;
    const args = [main, '--folder', folder, '--name', this.name, '--node-id', nodeId, ...flags];
    if (registry !== undefined) args.push('--registry', registry);
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { PATH: process.env['PATH'], EXAMPLE_CSI_FAULTS: this.#faults },
    });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`start the example driver: it exited with ${String(code)}`)));
      createInterface({ input: child.stdout }).once('line', () => resolve());
    });
  }

  /** Resolves when it is dead. SIGKILL leaves its sockets, SIGTERM takes them away. */
  async stop(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.#child?.kill(signal);
    await this.ended();
  }

  /** Resolves when it is dead, by whatever. */
  async ended(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise((resolve) => child.once('exit', resolve));
  }

  /** Switches faults on, for the calls to come. */
  async break(faults: Readonly<Record<string, Fault>>): Promise<void> {
    await writeFile(this.#faults, JSON.stringify(faults));
  }

  async mend(): Promise<void> {
    await rm(this.#faults, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL');
  }
}
