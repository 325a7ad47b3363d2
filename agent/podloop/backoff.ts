import type { Container } from '../api/index.js';
import type { PlanPolicy } from './pod-facts.js';
import type { RestartBackoff, Step } from './steps.js';

/** A new image or other resources deserve a fresh start. */
export function restartBackoffKey(container: Pick<Container, 'image' | 'resources'>): string {
  return JSON.stringify([container.image ?? '', container.resources ?? {}]);
}

/** When a container may start. */
export type RestartTiming =
  /** Now; `backoff` is what to remember, undefined for a first start. */
  | { readonly kind: 'now'; readonly backoff: RestartBackoff | undefined }
  | { readonly kind: 'wait'; readonly until: number; readonly delayMs: number };

export interface RestartQuestion {
  /** When the last instance ended, ms; undefined when there was none. */
  readonly endedAt: number | undefined;
  readonly previous: RestartBackoff | undefined;
  readonly key: string;
}

/**
 * CrashLoopBackOff: the first restart is immediate, each further one waits twice as long as the one before, counted from the end
 * of the container; one that ran longer than `resetAfterMs` starts over.
 */
export function restartTiming(
  { endedAt, previous, key }: RestartQuestion,
  policy: PlanPolicy['restartBackoff'],
  now: number,
): RestartTiming {
  if (endedAt === undefined) return { kind: 'now', backoff: undefined };
  if (previous?.key !== key || endedAt - previous.at > policy.resetAfterMs) {
    return { kind: 'now', backoff: { delayMs: Math.min(policy.initialMs, policy.maxMs), at: now, key } };
  }
  // This end has been waited for already; the start it allowed has failed before it made a container.
  if (endedAt < previous.at) return { kind: 'now', backoff: previous };
  const until = endedAt + previous.delayMs;
  if (now < until) return { kind: 'wait', until, delayMs: previous.delayMs };
  return { kind: 'now', backoff: { delayMs: Math.min(previous.delayMs * 2, policy.maxMs), at: now, key } };
}

interface Growth {
  readonly firstMs: number;
  readonly maxMs: number;
}

const grow = ({ firstMs, maxMs }: Growth, attempt: number): number =>
  Math.min(firstMs * 2 ** Math.min(attempt - 1, 30), maxMs);

/** Reasons that a new try cannot change; something else must happen first, and that wakes the loop. */
const settledImageReasons = new Set(['ErrImageNeverPull', 'InvalidImageName', 'ImageInspectError']);
/** The container itself was made: its own restart back-off says when to go on. */
const containerEndedReasons = new Set(['PostStartHookError']);

/** Milliseconds until a step that failed `attempt` times (1 for the first) with this reason may be tried again. */
export function nextTryAfter(step: Step, attempt: number, reason: string): number {
  switch (step.kind) {
    case 'prepare-pod':
    case 'mount-volumes':
    case 'create-sandbox':
      return grow({ firstMs: 500, maxMs: 30_000 }, attempt);
    case 'ensure-image':
      return settledImageReasons.has(reason) ? 10_000 : grow({ firstMs: 10_000, maxMs: 300_000 }, attempt);
    case 'start-container':
      if (containerEndedReasons.has(reason)) return 0;
      return attempt === 1 ? 1000 : 10_000;
    case 'resize-pod':
    case 'pin-containers':
      return grow({ firstMs: 1000, maxMs: 60_000 }, attempt);
    case 'pre-stop':
    case 'kill-container':
    case 'stop-sandbox':
    case 'remove-container':
    case 'remove-sandbox':
      return grow({ firstMs: 250, maxMs: 5000 }, attempt);
    case 'unmount-volumes':
    case 'release-pod':
      return grow({ firstMs: 250, maxMs: 10_000 }, attempt);
  }
}
