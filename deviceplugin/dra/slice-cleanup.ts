import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { isAbortOf } from '../../base/signals.js';

export interface SliceCleanupDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Takes away what a driver, or all drivers, offer of this node; succeeds when there is nothing. */
  readonly remove: (driver: string | undefined, signal: AbortSignal) => Promise<void>;
}

/** How long a driver may be away, for an update, before what it offers is taken away. */
const usualDelayMs = 30_000;
const retry = { firstMs: 1000, longestMs: 300_000 };

/**
 * ResourceSlices of drivers that are not there: pods would be sent to this node for devices nobody can prepare. At the start no
 * driver is there yet; those that live on publish theirs again.
 */
export class SliceCleanup implements Disposable {
  readonly #delayMs: number;
  readonly #deps: SliceCleanupDeps;
  readonly #life = new AbortController();
  readonly #pending = new Map<string, AbortController>();
  #present: ReadonlySet<string> = new Set();

  constructor(options: { readonly delayMs?: number | undefined }, deps: SliceCleanupDeps) {
    this.#delayMs = options.delayMs ?? usualDelayMs;
    this.#deps = deps;
  }

  start(): void {
    this.#inBackground(undefined, this.#life.signal, 0);
  }

  /** The drivers that are registered now. */
  changed(present: readonly string[]): void {
    const now = new Set(present);
    for (const driver of now) {
      this.#pending.get(driver)?.abort(new DOMException('the driver is back', 'AbortError'));
      this.#pending.delete(driver);
    }
    for (const driver of this.#present) {
      if (now.has(driver) || this.#pending.has(driver)) continue;
      const stop = new AbortController();
      this.#pending.set(driver, stop);
      this.#inBackground(driver, stop.signal, this.#delayMs);
    }
    this.#present = now;
  }

  [Symbol.dispose](): void {
    const reason = new DOMException('the agent stops', 'AbortError');
    this.#life.abort(reason);
    for (const stop of this.#pending.values()) stop.abort(reason);
  }

  #inBackground(driver: string | undefined, signal: AbortSignal, delayMs: number): void {
    this.#remove(driver, signal, delayMs).catch((err: unknown) => {
      if (!isAbortOf(err, signal)) this.#deps.log.error({ driver, err: errorText(err) }, 'ResourceSlices stay');
    });
  }

  async #remove(driver: string | undefined, signal: AbortSignal, delayMs: number): Promise<void> {
    const { clock, log, remove } = this.#deps;
    if (delayMs > 0) await clock.sleep(delayMs, signal);
    for (let waitMs = retry.firstMs; ; waitMs = Math.min(waitMs * 2, retry.longestMs)) {
      try {
        await remove(driver, signal);
        if (driver !== undefined) this.#pending.delete(driver);
        log.info({ driver: driver ?? 'all' }, 'ResourceSlices of drivers that are not here are removed');
        return;
      } catch (err) {
        signal.throwIfAborted();
        log.warn({ driver, err: errorText(err), retryInMs: waitMs }, 'ResourceSlices could not be removed');
        await clock.sleep(waitMs, signal);
      }
    }
  }
}
