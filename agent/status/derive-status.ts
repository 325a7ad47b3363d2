import { toRfc3339 } from '../../base/clock.js';
import { isTerminalPhase, podQosClass, type ContainerStatus, type PodStatus } from '../api/index.js';
import { endingOf, terminalStatus, type Ending } from '../podloop/ending.js';
import { initProgress } from '../podloop/init-progress.js';
import { resizeProgress } from '../podloop/plan/plan-resize.js';
import { restartAllSources } from '../podloop/plan/plan-restart-all.js';
import type { DesiredPod, PodFacts } from '../podloop/pod-facts.js';
import {
  currentInstance,
  currentSandbox,
  isAlive,
  isStopped,
  podView,
  type ContainerView,
  type PodView,
} from '../podloop/pod-view.js';
import { needsStart } from '../podloop/start-question.js';
import type { PodPlan } from '../podloop/steps.js';
import { containerStatus, type StatusContext } from './container-status.js';
import { finalStatuses } from './final-statuses.js';
import { podAddresses } from './pod-addresses.js';
import { podConditions } from './pod-conditions.js';
import { podLevelResources } from './pod-level-resources.js';
import { podPhase, type PodPhase } from './pod-phase.js';
import { same } from './same-status.js';

/** Bytes that the termination messages of a pod share. */
const messageBytesPerPod = 12 * 1024;

/**
 * The status of a pod as it is now: pure, from the same facts as the plan. The object reported before is returned when nothing
 * changed, so that `!==` means there is something to tell. Undefined for a pod that nobody desires.
 */
export function deriveStatus(
  desired: DesiredPod | undefined,
  facts: PodFacts,
  plan: PodPlan,
  now: number,
): PodStatus | undefined {
  if (!desired) return undefined;
  const view = podView(desired, facts, now);
  const previous = facts.lastReported ?? desired.previousStatus;
  const ending = endingOf(view);
  const status = isNeverStarted(view, ending)
    ? rejectedStatus(view, ending, previous)
    : livingStatus(view, ending, plan, previous);
  return facts.lastReported && same(facts.lastReported, status) ? facts.lastReported : status;
}

function livingStatus(
  view: PodView,
  ending: Ending | undefined,
  plan: PodPlan,
  previous: PodStatus | undefined,
): PodStatus {
  const { pod, desired, facts, now } = view;
  const context = statusContext(view, ending, plan, previous);
  // What the containers say counts as an end only when the plan takes it for one too.
  const mayRun = ending === undefined || couldRun(facts);
  const isOver = !mayRun && facts.released && !facts.volumesPresent;
  const lists = containerStatuses(context, isOver);
  const statuses = new Map([...lists.init, ...lists.regular].map((status) => [status.name, status]));
  const own = podPhase({
    pod,
    statuses,
    ending: ending !== undefined,
    static: desired.static,
    initialized: view.regular.some((container) => currentInstance(view, container) !== undefined),
  });
  const settled = settlePhase(
    view,
    ending,
    previous,
    isOver && !isTerminalPhase(own) && !desired.static ? 'Failed' : own,
  );
  const shown =
    isTerminalPhase(settled.phase) && !isTerminalPhase(previous?.phase) && mayRun ? withheld(previous) : settled;
  const conditions = podConditions({
    pod,
    phase: settled.phase,
    previous,
    foreign: desired.previousStatus?.conditions,
    statuses,
    sandboxReady: currentSandbox(view) !== undefined,
    restartingAll: context.restartingAll && !isCleanedUp(view),
    resize: { refusal: facts.resize?.refusal, progress: ending ? undefined : resizeProgress(view) },
    disruption: isTerminalPhase(shown.phase) ? ending?.status?.condition : undefined,
    now,
  });
  return {
    ...kept(desired.previousStatus),
    ...frame(view, previous),
    ...shown,
    conditions,
    ...podAddresses(view, previous),
    ...podLevelResources(view, shown.phase === 'Running'),
    containerStatuses: [...lists.regular],
    ...(lists.init.length > 0 && { initContainerStatuses: [...lists.init] }),
    ...(lists.ephemeral.length > 0 && { ephemeralContainerStatuses: [...lists.ephemeral] }),
  };
}

/** Fields that others write and that go back as they came. */
function kept(status: PodStatus | undefined): PodStatus {
  const { resize, nominatedNodeName, resourceClaimStatuses, extendedResourceClaimStatus } = status ?? {};
  return {
    ...(resize !== undefined && { resize }),
    ...(nominatedNodeName !== undefined && { nominatedNodeName }),
    ...(resourceClaimStatuses && { resourceClaimStatuses }),
    ...(extendedResourceClaimStatus && { extendedResourceClaimStatus }),
  };
}

/** When the oldest thing of the pod was made: an agent that was started anew, without a cluster, knows no other beginning. */
function firstTrace({ runtime }: PodFacts): number | undefined {
  const made = [...runtime.sandboxes, ...runtime.containers].map(({ createdAt }) => createdAt).filter((at) => at > 0);
  return made.length > 0 ? Math.min(...made) : undefined;
}

/** What does not change in a pod's life. */
function frame({ pod, facts, now }: PodView, previous: PodStatus | undefined): PodStatus {
  const generation = Math.max(pod.metadata?.generation ?? 0, previous?.observedGeneration ?? 0);
  return {
    qosClass: previous?.qosClass ?? podQosClass(pod),
    startTime: previous?.startTime ?? toRfc3339(firstTrace(facts) ?? now),
    ...(generation > 0 && { observedGeneration: generation }),
  };
}

type PhaseWords = { phase: PodPhase } & Pick<PodStatus, 'reason' | 'message'>;

/** A terminal phase stays; otherwise what the node decided goes before what the containers say. */
function settlePhase(
  view: PodView,
  ending: Ending | undefined,
  previous: PodStatus | undefined,
  own: PodPhase,
): PhaseWords {
  const terminal = terminalStatus(view);
  if (!terminal && ending?.status) {
    const { phase, reason, message } = ending.status;
    return { phase, reason, message };
  }
  const phase = terminal?.phase ?? own;
  const source = phase === previous?.phase ? previous : terminal;
  return { phase, ...words(source) };
}

/** A terminal phase frees what the pod holds elsewhere: it is not told while anything of the pod may still run. */
function withheld(previous: PodStatus | undefined): PhaseWords {
  return { phase: previous?.phase ?? 'Pending', ...words(previous) };
}

function words(status: PodStatus | undefined): Pick<PodStatus, 'reason' | 'message'> {
  const { reason, message } = status ?? {};
  return { ...(reason !== undefined && { reason }), ...(message !== undefined && { message }) };
}

/** True while a container, a sandbox, or something that makes or kills one, is there. */
function couldRun(facts: PodFacts): boolean {
  const { containers, sandboxes } = facts.runtime;
  if (containers.some((instance) => isAlive(facts, instance))) return true;
  if (sandboxes.some((sandbox) => !isStopped(facts, sandbox))) return true;
  return [...facts.inFlight.values()].some(({ step: { kind } }) => {
    return (
      kind === 'start-container' || kind === 'create-sandbox' || kind === 'kill-container' || kind === 'stop-sandbox'
    );
  });
}

function statusContext(
  view: PodView,
  ending: Ending | undefined,
  plan: PodPlan,
  previous: PodStatus | undefined,
): StatusContext {
  const { pod, facts } = view;
  const progress = initProgress(view);
  const due = new Set<ContainerView>(ending || !currentSandbox(view) ? [] : progress.toStart);
  if (!ending && progress.initialized) {
    for (const container of view.regular) if (needsStart(view, container)) due.add(container);
  }
  if (!ending) for (const container of view.ephemeral) if (needsStart(view, container)) due.add(container);
  const wasRestarting = previous?.conditions?.some(
    ({ type, status }) => type === 'AllContainersRestarting' && status === 'True',
  );
  return {
    view,
    plan,
    initialized: progress.initialized && (view.init.length === 0 || currentSandbox(view) !== undefined),
    regularSeen: view.regular.some(({ latest }) => latest && latest.state !== 'unknown'),
    restartingAll: wasRestarting === true || restartAllSources(view).length > 0,
    ending: ending !== undefined,
    deleted: pod.metadata?.deletionTimestamp !== undefined || ending?.remove === true,
    messageBytes: Math.floor(messageBytesPerPod / Math.max(view.containers.length, 1)),
    due: facts.inFlight.has('create-sandbox') ? new Set() : due,
  };
}

interface StatusLists {
  readonly init: readonly ContainerStatus[];
  readonly regular: readonly ContainerStatus[];
  readonly ephemeral: readonly ContainerStatus[];
}

function containerStatuses(context: StatusContext, isOver: boolean): StatusLists {
  const { view } = context;
  const of = (list: readonly ContainerView[]): ContainerStatus[] =>
    list.map((each) => withDevices(view.facts, containerStatus(context, each)));
  const init = of(view.init);
  const regular = of(view.regular).toSorted(byName);
  const ephemeral = of(view.ephemeral).toSorted(byName);
  return isOver ? { ...finalStatuses(view.pod, { init, regular }), ephemeral } : { init, regular, ephemeral };
}

function withDevices({ deviceHealth }: PodFacts, status: ContainerStatus): ContainerStatus {
  const health = deviceHealth?.get(status.name);
  return health ? { ...status, allocatedResourcesStatus: [...health] } : status;
}

/** Byte order, as Go sorts strings. */
const byName = (a: ContainerStatus, b: ContainerStatus): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

function isCleanedUp(view: PodView): boolean {
  return [...view.init, ...view.regular].every(({ latest }) => latest === undefined);
}

/** A pod that was refused before anything of it was made has no containers to speak of. */
function isNeverStarted({ facts, desired }: PodView, ending: Ending | undefined): boolean {
  if (ending?.cause !== 'rejected') return false;
  const before = facts.lastReported ?? desired.previousStatus;
  const { containers, sandboxes } = facts.runtime;
  return containers.length === 0 && sandboxes.length === 0 && before?.containerStatuses === undefined;
}

function rejectedStatus(view: PodView, ending: Ending | undefined, previous: PodStatus | undefined): PodStatus {
  const foreign = view.desired.previousStatus?.conditions ?? previous?.conditions;
  return {
    ...kept(view.desired.previousStatus),
    ...frame(view, previous),
    ...settlePhase(view, ending, previous, 'Failed'),
    ...(foreign && { conditions: foreign }),
  };
}
