import { onAbort } from './signals.js';

/** At most `limit` at once, first come first served, so that a burst finishes one after another and not all at the end. */
export class FifoLimit {
  readonly #limit: number;
  #running = 0;
  readonly #queue: Array<() => void> = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /** Runs `work` when its turn comes; gives up the place in the queue when the signal aborts first. */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#enter(signal);
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  async #enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#running < this.#limit) {
      this.#running++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const unlink = onAbort(signal, () => {
        const at = this.#queue.indexOf(go);
        if (at >= 0) this.#queue.splice(at, 1);
        reject(signal.reason as Error);
      });
      const go = (): void => {
        unlink();
        resolve();
      };
      this.#queue.push(go);
    });
  }

  /** Hands the place straight to the next in line: `#running` only falls when nobody waits. */
  #leave(): void {
    const next = this.#queue.shift();
    if (next) next();
    else this.#running--;
  }
}

/** One at a time per key; keys do not wait for each other and leave nothing behind. */
export class KeyedLock {
  readonly #locks = new Map<string, { lock: FifoLimit; users: number }>();

  async run<T>(key: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const entry = this.#locks.get(key) ?? { lock: new FifoLimit(1), users: 0 };
    this.#locks.set(key, entry);
    entry.users++;
    try {
      return await entry.lock.run(work, signal);
    } finally {
      if (--entry.users === 0) this.#locks.delete(key);
    }
  }
}
