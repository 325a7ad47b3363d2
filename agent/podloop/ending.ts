import { isTerminalPhase, type PodStatus } from '../api/index.js';
import type { DesiredPod, Termination } from './pod-facts.js';
import { failedForGood, lastEnd, restarts, type ContainerView, type PodView } from './pod-view.js';

/** Why and how a pod ends; a decision of its owners, of time, or of its own containers. */
export interface Ending {
  /** `finished`: by itself. `terminal`: it was reported so before. */
  readonly cause: Termination['cause'] | 'finished' | 'terminal';
  /** From when the grace counts, ms. */
  readonly since: number;
  readonly graceSeconds: number;
  /** Nothing of the pod may stay. */
  readonly remove: boolean;
  readonly status?: Termination['status'] | undefined;
}

export const defaultGraceSeconds = 30;

export function podGraceSeconds({ pod }: PodView): number {
  return pod.spec?.terminationGracePeriodSeconds ?? defaultGraceSeconds;
}

/** When the pod has been active for as long as it may, ms; undefined without a deadline, and before it has a start time. */
export function deadlineOf({ pod, desired, facts }: PodView): number | undefined {
  const seconds = pod.spec?.activeDeadlineSeconds;
  const startTime = facts.lastReported?.startTime ?? desired.previousStatus?.startTime;
  if (seconds === undefined || startTime === undefined) return undefined;
  return Date.parse(startTime) + seconds * 1000;
}

/** Why the pod must end now; undefined while it shall live. Once there, it stays: each cause rests on facts that do not go away. */
export function endingOf(view: PodView): Ending | undefined {
  const { desired, facts, now } = view;
  const { termination } = desired;
  const graceSeconds = podGraceSeconds(view);
  if (termination) {
    const { cause, since, status } = termination;
    return {
      cause,
      since,
      graceSeconds: termination.graceSeconds,
      remove: mustVanish(view),
      ...(status && { status }),
    };
  }
  const remove = mustVanish(view);
  if (remove) return { cause: 'removed', since: now, graceSeconds, remove };
  if (wasTerminal(view)) return { cause: 'terminal', since: now, graceSeconds, remove };
  const deadline = deadlineOf(view);
  if (deadline !== undefined && deadline <= now) {
    const since = Math.max(deadline, facts.agentStartedAt);
    return { cause: 'deadline', since, graceSeconds, remove, status: deadlineStatus };
  }
  const finishedAt = finishTime(view);
  if (finishedAt === undefined) return undefined;
  return { cause: 'finished', since: Math.max(finishedAt, facts.agentStartedAt), graceSeconds, remove };
}

const deadlineStatus = {
  phase: 'Failed',
  reason: 'DeadlineExceeded',
  message: 'Pod was active on the node longer than the specified deadline',
} as const;

function mustVanish({ desired, pod }: PodView): boolean {
  const cause = desired.termination?.cause;
  if (desired.removed === true || cause === 'deleted' || cause === 'removed' || cause === 'orphan') return true;
  return pod.metadata?.deletionTimestamp !== undefined;
}

/** Once it is over: static pods that always restart come back. */
export function staysOver({ static: isStatic, pod }: Pick<DesiredPod, 'static' | 'pod'>): boolean {
  return !isStatic || (pod.spec?.restartPolicy ?? 'Always') !== 'Always';
}

/** The status that says the pod is over, whoever wrote it. */
export function terminalStatus({ desired, pod, facts }: PodView): PodStatus | undefined {
  if (!staysOver({ static: desired.static, pod })) return undefined;
  return [facts.lastReported, desired.previousStatus].find((status) => isTerminalPhase(status?.phase));
}

const wasTerminal = (view: PodView): boolean => terminalStatus(view) !== undefined;

/** When the pod came to its end by itself: an init container failed for good, or no regular container will run again. */
function finishTime(view: PodView): number | undefined {
  const failed = view.init.find((container) => failedForGood(view, container));
  if (failed) return lastEnd(view, failed)?.endedAt;
  const ends = view.regular.map((container) => finalEnd(view, container));
  if (ends.length === 0 || ends.some((end) => end === undefined)) return undefined;
  return Math.max(...ends.map((end) => end ?? 0));
}

function finalEnd(view: PodView, container: ContainerView): number | undefined {
  if (container.starting) return undefined;
  const end = lastEnd(view, container);
  return end && !restarts(view, container, end) ? end.endedAt : undefined;
}
