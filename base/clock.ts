import { setTimeout as delay } from 'node:timers/promises';

/** Time as a dependency, so that pure logic and tests decide what "now" is. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    try {
      await delay(ms, undefined, { signal });
    } catch (err) {
      signal.throwIfAborted();
      throw err;
    }
  },
};

/** RFC 3339 in UTC with seconds, as Kubernetes writes `metav1.Time`. */
export function toRfc3339(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
