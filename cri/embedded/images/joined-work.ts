interface Joined<T, P> {
  readonly controller: AbortController;
  readonly result: Promise<T>;
  readonly waiters: Set<((progress: P) => void) | undefined>;
  last: P | undefined;
}

/** The same work asked for twice at a time is done once. It is aborted when the last of those who wait for it has gone. */
export class JoinedWork<T, P> {
  readonly #running = new Map<string, Joined<T, P>>();

  get size(): number {
    return this.#running.size;
  }

  async run(
    key: string,
    work: (signal: AbortSignal, onProgress: (progress: P) => void) => Promise<T>,
    signal: AbortSignal,
    onProgress?: (progress: P) => void,
  ): Promise<T> {
    signal.throwIfAborted();
    const joined = this.#running.get(key) ?? this.#start(key, work);
    // One function may wait twice; each wait counts.
    const waiter = onProgress === undefined ? undefined : (progress: P): void => onProgress(progress);
    const token = waiter ?? ((): void => {});
    joined.waiters.add(token);
    if (joined.last !== undefined) waiter?.(joined.last);
    let onAbort = (): void => {};
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => reject(signal.reason as Error);
      signal.addEventListener('abort', onAbort, { once: true });
    });
    try {
      return await Promise.race([joined.result, aborted]);
    } finally {
      signal.removeEventListener('abort', onAbort);
      joined.waiters.delete(token);
      if (joined.waiters.size === 0 && this.#running.get(key) === joined) {
        // Nobody may join work that is being taken back; the one who gave up waits until it left no trace.
        this.#running.delete(key);
        joined.controller.abort(signal.aborted ? signal.reason : undefined);
        await joined.result.catch(() => {});
      }
    }
  }

  /** Aborts everything and waits until it has ended. */
  async stop(reason: Error): Promise<void> {
    const all = [...this.#running.values()];
    for (const joined of all) joined.controller.abort(reason);
    await Promise.allSettled(all.map((joined) => joined.result));
  }

  #start(key: string, work: (signal: AbortSignal, onProgress: (progress: P) => void) => Promise<T>): Joined<T, P> {
    const controller = new AbortController();
    const waiters: Joined<T, P>['waiters'] = new Set();
    const report = (progress: P): void => {
      joined.last = progress;
      for (const waiter of waiters) waiter?.(progress);
    };
    const result = Promise.resolve()
      .then(() => work(controller.signal, report))
      .finally(() => {
        if (this.#running.get(key) === joined) this.#running.delete(key);
      });
    const joined: Joined<T, P> = { controller, result, waiters, last: undefined };
    result.catch(() => {}); // each waiter hears it; it must not be unhandled when all have gone
    this.#running.set(key, joined);
    return joined;
  }
}
