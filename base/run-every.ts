import type { Clock } from './clock.js';
import { errorText } from './errors.js';
import type { Logger } from './log.js';

export interface RunEveryOptions {
  /** What is done, for the log: "image garbage collection". */
  readonly what: string;
  readonly everyMs: number;
  /** Pause before the first run; `everyMs` when absent. */
  readonly firstAfterMs?: number | undefined;
}

/**
 * Does `work` again and again until the signal aborts, the pause counted from the end of one run to the start of the next. A run that fails is
 * logged and does not end the series. Resolves when the signal aborts.
 */
export async function runEvery(
  options: RunEveryOptions,
  work: (signal: AbortSignal) => Promise<void>,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
  signal: AbortSignal,
): Promise<void> {
  const { what, everyMs, firstAfterMs = everyMs } = options;
  let pause = firstAfterMs;
  while (!signal.aborted) {
    try {
      await clock.sleep(pause, signal);
      await work(signal);
    } catch (err) {
      if (signal.aborted) return;
      log.warn({ what, err: errorText(err), retryInMs: everyMs }, 'a recurring job failed');
    }
    pause = everyMs;
  }
}
