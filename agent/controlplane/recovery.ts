import type { Clock } from '../../base/clock.js';
import { linkSignal } from '../../base/signals.js';

/** Says when something that could not be used can be used again. */
export interface RecoverySource {
  /** Absent where that cannot happen. */
  onRecovery?(listener: () => void): Disposable;
}

/** All that talk to one server: when one of them gets through again, those who wait out a delay need not wait on. */
export class Recovery implements RecoverySource {
  readonly #listeners = new Set<() => void>();

  onRecovery(listener: () => void): Disposable {
    const own = (): void => listener();
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  announce(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Resolves after `ms`, or as soon as `source` recovers; rejects with the signal's reason. */
export async function sleepUntilRecovery(
  ms: number,
  source: RecoverySource,
  clock: Clock,
  signal: AbortSignal,
): Promise<'slept' | 'recovered'> {
  using woken = linkSignal(signal);
  using _listener = source.onRecovery?.(() => woken.abort(new DOMException('it recovered', 'AbortError')));
  try {
    await clock.sleep(ms, woken.signal);
    return 'slept';
  } catch (err) {
    signal.throwIfAborted();
    if (!woken.signal.aborted) throw err;
    return 'recovered';
  }
}
