import { isSidecar, type Container, type ContainerStatus, type Pod, type PodStatus } from '../api/index.js';
import { inferredEndReasons } from '../podloop/start-question.js';
import { shouldRestart } from '../podloop/restart-policy.js';

export type PodPhase = NonNullable<PodStatus['phase']>;

export interface PhaseQuestion {
  readonly pod: Pod;
  /** Of init, sidecar and regular containers. */
  readonly statuses: ReadonlyMap<string, ContainerStatus>;
  /** The pod ends: what is down does not come back. */
  readonly ending: boolean;
  readonly static: boolean;
  /** A regular container has been made in this sandbox: sidecars that restart do not put the pod back. */
  readonly initialized: boolean;
}

/** The phase the containers speak of; what was reported before and what the node decided come on top of it. */
export function podPhase(question: PhaseQuestion): PodPhase {
  const { pod, ending } = question;
  const { initContainers = [], containers = [] } = pod.spec ?? {};
  const init = countInit(question, initContainers);
  if (init.failed > 0) return 'Failed';
  const all = countRunning(question, initContainers, containers);
  if (init.pending > 0 || (all.pendingSidecars > 0 && !question.initialized) || all.waiting > 0) return 'Pending';
  if (all.unknown > 0) return 'Pending';
  if (all.running > 0) return 'Running';
  if (all.stopped === 0) return 'Pending';
  const over: PodPhase = all.stopped === all.succeeded ? 'Succeeded' : 'Failed';
  if (ending && !question.static) return over;
  return all.stopped === all.stoppedForGood ? over : 'Running';
}

/** True when a container that ended with this status starts again. */
function isRestartable(
  pod: Pod,
  container: Container,
  { exitCode, reason }: { exitCode: number; reason?: string | undefined },
): boolean {
  return reason === inferredEndReasons.restartAll || shouldRestart(pod, container, exitCode);
}

function countInit({ pod, statuses }: PhaseQuestion, init: readonly Container[]): { pending: number; failed: number } {
  let pending = 0;
  let failed = 0;
  for (const container of init) {
    if (isSidecar(container)) continue;
    const { state, lastState } = statuses.get(container.name) ?? {};
    const end = state?.terminated ?? (state?.waiting ? lastState?.terminated : undefined);
    if (!end) pending++;
    else if (end.exitCode !== 0 && !isRestartable(pod, container, end)) failed++;
  }
  return { pending, failed };
}

function countRunning({ pod, statuses }: PhaseQuestion, init: readonly Container[], regular: readonly Container[]) {
  const count = { unknown: 0, running: 0, waiting: 0, stopped: 0, stoppedForGood: 0, succeeded: 0, pendingSidecars: 0 };
  for (const container of init) {
    if (!isSidecar(container)) continue;
    const { state, lastState, started } = statuses.get(container.name) ?? {};
    if (state?.running) {
      count.running++;
      if (started !== true) count.pendingSidecars++;
    } else if (state?.waiting && !lastState?.terminated) {
      count.pendingSidecars++;
      count.waiting++;
    } else if (!state?.terminated && !state?.waiting) count.unknown++;
  }
  for (const container of regular) {
    const { state, lastState } = statuses.get(container.name) ?? {};
    if (state?.running) {
      count.running++;
      continue;
    }
    const end = state?.terminated ?? (state?.waiting ? lastState?.terminated : undefined);
    if (end) {
      count.stopped++;
      if (!isRestartable(pod, container, end)) count.stoppedForGood++;
      if (state?.terminated?.exitCode === 0) count.succeeded++;
    } else if (state?.waiting) count.waiting++;
    else count.unknown++;
  }
  return count;
}
