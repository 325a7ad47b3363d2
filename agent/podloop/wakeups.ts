interface Waiter {
  readonly resolve: (this: void) => void;
  readonly reject: (this: void, reason: Error) => void;
}

/**
 * Wake-ups that carry no data: any number of them before the next wait count as one. A wake-up while nobody waits is kept,
 * so that a change during a pass is never lost. One signal ends all waits: a listener for each would make every wait of a node's
 * hundreds of pods as dear as there are pods, because an `AbortSignal` goes through its listeners to add one.
 */
export class Wakeups<Key> {
  readonly #stop: AbortSignal;
  readonly #pending = new Set<Key>();
  readonly #waiting = new Map<Key, Waiter>();

  constructor(stop: AbortSignal) {
    this.#stop = stop;
    const end = (): void => {
      for (const waiter of this.#waiting.values()) waiter.reject(stop.reason as Error);
    };
    stop.addEventListener('abort', end, { once: true });
  }

  wake(key: Key): void {
    const waiter = this.#waiting.get(key);
    if (waiter) waiter.resolve();
    else this.#pending.add(key);
  }

  /** Forgets what was kept for a key that nobody will wait for again. */
  forget(key: Key): void {
    this.#pending.delete(key);
  }

  /** Resolves on a wake-up, or after `timeoutMs` when one is given; rejects with the stop's reason. One waiter per key. */
  async wait(key: Key, timeoutMs: number | undefined): Promise<void> {
    this.#stop.throwIfAborted();
    if (this.#pending.delete(key)) return;
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#waiting.set(key, { resolve, reject });
        // Node fires timers beyond 2^31 ms at once.
        if (timeoutMs !== undefined) timer = setTimeout(resolve, Math.min(Math.max(timeoutMs, 0), 2 ** 31 - 1));
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(key);
    }
  }
}
