/**
 * Wake-ups that carry no data: any number of them before the next wait count as one. A wake-up while nobody waits is kept,
 * so that a change during a pass is never lost.
 */
export class Wakeups<Key> {
  readonly #pending = new Set<Key>();
  readonly #waiting = new Map<Key, () => void>();

  wake(key: Key): void {
    const resume = this.#waiting.get(key);
    if (resume) resume();
    else this.#pending.add(key);
  }

  /** Forgets what was kept for a key that nobody will wait for again. */
  forget(key: Key): void {
    this.#pending.delete(key);
  }

  /** Resolves on a wake-up, or after `timeoutMs` when one is given; rejects with the signal's reason. One waiter per key. */
  async wait(key: Key, timeoutMs: number | undefined, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#pending.delete(key)) return;
    let timer: NodeJS.Timeout | undefined;
    let onAbort = (): void => {};
    try {
      await new Promise<void>((resolve, reject) => {
        this.#waiting.set(key, resolve);
        onAbort = () => reject(signal.reason as Error);
        signal.addEventListener('abort', onAbort, { once: true });
        // Node fires timers beyond 2^31 ms at once.
        if (timeoutMs !== undefined) timer = setTimeout(resolve, Math.min(Math.max(timeoutMs, 0), 2 ** 31 - 1));
      });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      this.#waiting.delete(key);
    }
  }
}
