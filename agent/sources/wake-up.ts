/** A flag that one loop waits for: setting it many times before the loop looks counts as once. */
export class WakeUp {
  #set = false;
  #notify = (): void => {};

  set(): void {
    this.#set = true;
    this.#notify();
  }

  /** Resolves when set, after `timeoutMs`, or when the signal aborts; clears the flag. */
  async wait(timeoutMs: number, signal: AbortSignal): Promise<'set' | 'timeout' | 'aborted'> {
    const reason = await new Promise<'set' | 'timeout' | 'aborted'>((resolve) => {
      if (signal.aborted) return resolve('aborted');
      if (this.#set) return resolve('set');
      const onAbort = (): void => finish('aborted');
      const timer = setTimeout(() => finish('timeout'), timeoutMs);
      const finish = (reason: 'set' | 'timeout' | 'aborted'): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        this.#notify = () => {};
        resolve(reason);
      };
      this.#notify = () => finish('set');
      signal.addEventListener('abort', onAbort, { once: true });
    });
    this.#set = false;
    return reason;
  }
}
