import { randomBytes } from 'node:crypto';
import { readdir, rename } from 'node:fs/promises';
import { errnoOf } from '../../../base/errors.js';
import { programSucceeded, describeEnd } from '../../../base/run-program.js';
import { programEnv } from '../host/oci-program.js';
import type { EmbeddedRuntimeDeps } from '../options.js';

/**
 * Folders to delete. Putting one here is one rename, so removal is whole or not begun; the deleting is done behind the caller's
 * back, many at a time, by one program that does not cross into another file system.
 */
export class Trash {
  readonly #path: string;
  readonly #deps: Pick<EmbeddedRuntimeDeps, 'run' | 'log'>;
  readonly #signal: AbortSignal;
  #sweeping: Promise<void> | undefined;
  #again = false;

  constructor(path: string, deps: Pick<EmbeddedRuntimeDeps, 'run' | 'log'>, signal: AbortSignal) {
    this.#path = path;
    this.#deps = deps;
    this.#signal = signal;
  }

  /** Moves a folder of the same file system here; one that is not there is fine. */
  async put(folder: string): Promise<void> {
    try {
      await rename(folder, `${this.#path}/${randomBytes(8).toString('hex')}`);
    } catch (err) {
      if (errnoOf(err) === 'ENOENT') return;
      throw err;
    }
    this.sweep();
  }

  /** Begins to empty it, also of what an earlier process left. */
  sweep(): void {
    if (this.#sweeping !== undefined) {
      this.#again = true;
      return;
    }
    this.#sweeping = this.#empty().finally(() => {
      this.#sweeping = undefined;
    });
  }

  async idle(): Promise<void> {
    while (this.#sweeping !== undefined) await this.#sweeping;
  }

  async #empty(): Promise<void> {
    try {
      do {
        this.#again = false;
        const names = await readdir(this.#path);
        if (names.length === 0) return;
        const paths = names.slice(0, 500).map((name) => `${this.#path}/${name}`);
        const result = await this.#deps.run(
          { argv: ['rm', '-rf', '--one-file-system', '--', ...paths], env: programEnv, timeoutMs: 600_000 },
          this.#signal,
        );
        if (!programSucceeded(result)) {
          this.#deps.log.warn(
            { path: this.#path, reason: describeEnd(result) },
            'trash not emptied, next removal tries again',
          );
          return;
        }
      } while (this.#again);
    } catch (err) {
      if (this.#signal.aborted) return;
      this.#deps.log.warn({ err, path: this.#path }, 'trash not emptied, next removal tries again');
    }
  }
}
