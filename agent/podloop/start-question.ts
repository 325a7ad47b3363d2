import { restartBackoffKey, restartTiming, type RestartTiming } from './backoff.js';
import { currentSandbox, endOf, lastEnd, restarts, type ContainerView, type PodView } from './pod-view.js';
import type { PlanPolicy } from './pod-facts.js';

/** Reasons under which a status counts the end of an instance that the runtime does not have any more. */
export const inferredEndReasons = { unknown: 'ContainerStatusUnknown', restartAll: 'RestartingAllContainers' } as const;

/** True for a regular or ephemeral container that shall run and does not. */
export function needsStart(view: PodView, container: ContainerView): boolean {
  if (container.latest?.state === 'created') return true;
  const end = lastEnd(view, container);
  if (container.kind === 'ephemeral') return !end && !container.latest && !hasRunBefore(container);
  if (end) return restarts(view, container, end);
  return container.latest === undefined;
}

/** When the container may start, by its restart back-off. */
export function startTiming(view: PodView, container: ContainerView, policy: PlanPolicy): RestartTiming {
  const { now } = view;
  const { backoff } = container.notes;
  const key = restartBackoffKey(container.spec);
  const isInit = container.kind === 'init' || container.kind === 'sidecar';
  const sandbox = currentSandbox(view);
  // A new sandbox runs its init containers again as if they never had been.
  if (isInit && container.latest && container.latest.sandboxId !== sandbox?.id)
    return { kind: 'now', backoff: undefined };
  const dead = container.instances.find((instance) => endOf(view.facts, instance) !== undefined);
  const end = dead ? endOf(view.facts, dead) : lastEnd(view, container);
  if (end) return restartTiming({ endedAt: end.endedAt, previous: backoff, key }, policy.restartBackoff, now);
  if (container.latest || !hasRunBefore(container)) return { kind: 'now', backoff: undefined };
  // Its instances were removed, as when all containers restart: only the starts themselves can be counted.
  const recent = backoff && now - backoff.at <= policy.restartBackoff.resetAfterMs ? backoff : undefined;
  return restartTiming({ endedAt: recent?.at ?? 0, previous: recent, key }, policy.restartBackoff, now);
}

function hasRunBefore({ reported }: ContainerView): boolean {
  return reported?.lastState?.terminated !== undefined || reported?.state?.running !== undefined;
}

/** How many starts came before the next one. A `created` instance never started: its number is used again. */
export function nextRestartCount(container: ContainerView): number {
  const { latest, reported } = container;
  if (latest) return latest.state === 'created' ? latest.restartCount : latest.restartCount + 1;
  if (!reported) return 0;
  const { state, lastState, restartCount } = reported;
  if (state?.running || state?.terminated) return restartCount + 1;
  if (!lastState?.terminated) return restartCount;
  // The status has counted an end that it had to infer already.
  const { reason } = lastState.terminated;
  const counted = reason === inferredEndReasons.unknown || reason === inferredEndReasons.restartAll;
  return counted ? restartCount : restartCount + 1;
}
