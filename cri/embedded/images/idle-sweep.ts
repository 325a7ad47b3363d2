import { orAbort } from '../../../base/signals.js';

/**
 * Cleaning up must not meet work that is about to use what looks unused: it runs when no work is under way, and new work waits
 * for it. Asked for at a busy time, it runs when the last work ends.
 */
export class IdleSweep {
  readonly #sweep: () => Promise<void>;
  #busy = 0;
  #wanted = false;
  #running: Promise<void> | undefined;

  /** `sweep` must not reject: nobody may be there to hear it. */
  constructor(sweep: () => Promise<void>) {
    this.#sweep = sweep;
  }

  /** Runs work that reads or adds things the sweep could remove. */
  async during<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    while (this.#running !== undefined) await orAbort(this.#running, signal);
    signal.throwIfAborted();
    this.#busy++;
    try {
      return await work();
    } finally {
      if (--this.#busy === 0 && this.#wanted) void this.#start();
    }
  }

  /** Resolves when the sweep is done, or at once when it has to wait for work under way. */
  async request(): Promise<void> {
    this.#wanted = true;
    if (this.#busy > 0) return;
    while (this.#running !== undefined) await this.#running;
    if (this.#wanted && this.#busy === 0) await this.#start();
  }

  /** Resolves when no sweep runs. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #start(): Promise<void> {
    this.#wanted = false;
    this.#running = this.#sweep().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }
}
