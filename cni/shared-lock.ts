/**
 * Many at once or one alone, in the order they came: the specification forbids ADD and DEL while GC runs. One that waits to be
 * alone lets nobody pass, so it does not wait for ever.
 */
export class SharedLock {
  readonly #queue: Array<{ readonly alone: boolean; readonly go: () => void }> = [];
  #inside = 0;
  #alone = false;

  async shared<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return await this.#run(false, work, signal);
  }

  async alone<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return await this.#run(true, work, signal);
  }

  async #run<T>(alone: boolean, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#enter(alone, signal);
    try {
      return await work();
    } finally {
      this.#inside--;
      this.#alone = false;
      this.#admit();
    }
  }

  async #enter(alone: boolean, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        const at = this.#queue.indexOf(entry);
        if (at >= 0) this.#queue.splice(at, 1);
        reject(signal.reason as Error);
        this.#admit();
      };
      const go = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const entry = { alone, go };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#queue.push(entry);
      this.#admit();
    });
  }

  #admit(): void {
    for (;;) {
      const next = this.#queue[0];
      if (next === undefined || this.#alone || (next.alone && this.#inside > 0)) return;
      this.#queue.shift();
      this.#inside++;
      this.#alone = next.alone;
      next.go();
    }
  }
}
