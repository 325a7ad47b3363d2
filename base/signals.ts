import { setMaxListeners } from 'node:events';
import { BerthError } from './errors.js';

export class TimedOut extends BerthError<{ code: 'timed-out'; afterMs: number }> {}

/**
 * Calls `listener` once when the signal aborts; returns how to take it back. Any number may listen to one signal: as many as there are
 * calls under way, which Node would otherwise take for a leak from eleven on.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  setMaxListeners(0, signal);
  signal.addEventListener('abort', listener, { once: true });
  return () => signal.removeEventListener('abort', listener);
}

/** A child of a longer-lived signal; disposing it takes its listener off the parent. */
export interface LinkedSignal extends Disposable {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

export interface LinkOptions {
  /** Abort with `TimedOut` after this many milliseconds. */
  readonly timeoutMs?: number;
  /** What is being waited for; the subject of the time-out's message. */
  readonly what?: string;
}

/**
 * Derives a signal that aborts with its parent, after a time limit, or by hand. Always bind it with `using`:
 * `AbortSignal.any` on a long-lived parent keeps every child alive on Node 20 (nodejs/node#54614).
 */
export function linkSignal(parent: AbortSignal, options: LinkOptions = {}): LinkedSignal {
  const controller = new AbortController();
  const onParent = (): void => controller.abort(parent.reason);
  let unlink = (): void => {};
  if (parent.aborted) onParent();
  else unlink = onAbort(parent, onParent);
  const { timeoutMs, what = 'the call' } = options;
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => {
          controller.abort(
            new TimedOut(`wait for ${what}: no answer within ${timeoutMs} ms`, {
              code: 'timed-out',
              afterMs: timeoutMs,
            }),
          );
        }, timeoutMs);
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    [Symbol.dispose]() {
      clearTimeout(timer);
      unlink();
    },
  };
}

/** True when `err` is the signal's own abort reason: being told to stop, not a failure. */
export function isAbortOf(err: unknown, signal: AbortSignal): boolean {
  return signal.aborted && (err === signal.reason || (err instanceof Error && err.name === 'AbortError'));
}

/** Settles like `promise`, or rejects with the signal's reason as soon as it aborts. */
export async function orAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let unlink = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    unlink = onAbort(signal, () => reject(signal.reason as Error));
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    unlink();
  }
}
