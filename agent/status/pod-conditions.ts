import { toRfc3339 } from '../../base/clock.js';
import {
  isSidecar,
  isTerminalPhase,
  type ContainerStatus,
  type Pod,
  type PodCondition,
  type PodStatus,
} from '../api/index.js';
import { mayRestartAllContainers } from '../podloop/restart-policy.js';
import type { ResizeFacts } from '../podloop/pod-facts.js';
import type { ResizeProgress } from '../podloop/plan/plan-resize.js';
import type { PodPhase } from './pod-phase.js';
import { same } from './same-status.js';

export interface ConditionsQuestion {
  readonly pod: Pod;
  readonly phase: PodPhase;
  readonly previous: PodStatus | undefined;
  /** The control plane's conditions: those of others are kept, and readiness gates look at them. */
  readonly foreign: readonly PodCondition[] | undefined;
  readonly statuses: ReadonlyMap<string, ContainerStatus>;
  readonly sandboxReady: boolean;
  readonly restartingAll: boolean;
  /** Why the pod is not promised the resources its spec asks for, and how far it is with those it is promised. */
  readonly resize: ResizeState;
  /** What the cause of an ending puts on the status, once its phase may be told. */
  readonly disruption: PodCondition | undefined;
  readonly now: number;
}

export interface ResizeState {
  readonly refusal: ResizeFacts['refusal'];
  readonly progress: ResizeProgress | undefined;
}

/** Conditions this agent owns; it writes all of them anew each time. */
const owned = new Set([
  'PodScheduled',
  'Ready',
  'Initialized',
  'ContainersReady',
  'PodReadyToStartContainers',
  'PodResizePending',
  'PodResizeInProgress',
  'AllContainersRestarting',
]);
const disruptionType = 'DisruptionTarget';

type Verdict = Pick<PodCondition, 'status' | 'reason' | 'message'>;

const yes: Verdict = { status: 'True' };

/** The pod's conditions in the order in which a kubelet emits them. */
export function podConditions(question: ConditionsQuestion): PodCondition[] {
  const { pod, previous, foreign = previous?.conditions ?? [], disruption } = question;
  const others = foreign.filter(({ type }) => !owned.has(type) && type !== disruptionType);
  const disrupted =
    disruption ?? [...(previous?.conditions ?? []), ...foreign].find(({ type }) => type === disruptionType);
  const containersReady = containersReadyVerdict(question);
  const verdicts: Array<[string, Verdict]> = [
    ['PodReadyToStartContainers', question.sandboxReady ? yes : { status: 'False' }],
    ['Initialized', initializedVerdict(question)],
    ['Ready', containersReady.status === 'True' ? gatesVerdict(pod, others) : containersReady],
    ['ContainersReady', containersReady],
    ['PodScheduled', yes],
  ];
  if (mayRestartAllContainers(pod)) verdicts.push(['AllContainersRestarting', restartingVerdict(question)]);
  return [
    ...others,
    ...resizeVerdicts(question).map(([type, verdict]) => stamped(question, type, verdict)),
    ...(disrupted ? [stamped(question, disruptionType, disrupted)] : []),
    ...verdicts.map(([type, verdict]) => stamped(question, type, verdict)),
  ];
}

/** There only while they are true, and never of a pod that is over. */
function resizeVerdicts({ phase, resize: { refusal, progress } }: ConditionsQuestion): readonly [string, Verdict][] {
  if (isTerminalPhase(phase)) return [];
  const verdicts: [string, Verdict][] = [];
  if (refusal) verdicts.push(['PodResizePending', { status: 'True', reason: refusal.kind, message: refusal.message }]);
  if (progress) verdicts.push(['PodResizeInProgress', { status: 'True', ...progress }]);
  return verdicts;
}

/** Keeps the time of the last transition while the status stays, and the very object while nothing changed. */
function stamped({ previous, pod, now }: ConditionsQuestion, type: string, verdict: Verdict): PodCondition {
  const before = previous?.conditions?.find((condition) => condition.type === type);
  const isUnchanged = before?.status === verdict.status && before.lastTransitionTime !== undefined;
  const generation = pod.metadata?.generation;
  const { status, reason, message } = verdict;
  const condition: PodCondition = {
    type,
    status,
    lastTransitionTime: (isUnchanged ? before.lastTransitionTime : undefined) ?? toRfc3339(now),
    ...(reason !== undefined && { reason }),
    ...(message !== undefined && { message }),
    ...(generation !== undefined && { observedGeneration: generation }),
  };
  return before && same(before, condition) ? before : condition;
}

/** Names as Go prints a list of strings. */
const goList = (names: readonly string[]): string => `[${names.join(' ')}]`;

function unreadyMessage(unknown: readonly string[], unready: readonly string[], word: string): string {
  return [
    ...(unknown.length > 0 ? [`containers with unknown status: ${goList(unknown)}`] : []),
    ...(unready.length > 0 ? [`containers with ${word} status: ${goList(unready)}`] : []),
  ].join(', ');
}

function containersReadyVerdict({ pod, statuses, phase }: ConditionsQuestion): Verdict {
  const { initContainers = [], containers = [] } = pod.spec ?? {};
  const names = [...initContainers.filter(isSidecar), ...containers].map(({ name }) => name);
  const unknown = names.filter((name) => !statuses.has(name));
  const unready = names.filter((name) => statuses.get(name)?.ready === false);
  if (phase === 'Failed') return { status: 'False', reason: 'PodFailed' };
  if (phase === 'Succeeded' && unknown.length === 0) return { status: 'False', reason: 'PodCompleted' };
  if (statuses.size === 0) return { status: 'False', reason: 'UnknownContainerStatuses' };
  const message = unreadyMessage(unknown, unready, 'unready');
  return message === '' ? yes : { status: 'False', reason: 'ContainersNotReady', message };
}

function gatesVerdict(pod: Pod, conditions: readonly PodCondition[]): Verdict {
  const messages = (pod.spec?.readinessGates ?? []).flatMap(({ conditionType }) => {
    const condition = conditions.find(({ type }) => type === conditionType);
    if (!condition) return [`corresponding condition of pod readiness gate "${conditionType}" does not exist.`];
    if (condition.status === 'True') return [];
    return [`the status of pod readiness gate "${conditionType}" is not "True", but ${condition.status}`];
  });
  return messages.length === 0
    ? yes
    : { status: 'False', reason: 'ReadinessGatesNotReady', message: messages.join(', ') };
}

function initializedVerdict({ pod, statuses, phase, previous }: ConditionsQuestion): Verdict {
  const { initContainers = [], containers = [] } = pod.spec ?? {};
  const unknown = initContainers.filter(({ name }) => !statuses.has(name)).map(({ name }) => name);
  if (phase === 'Succeeded' && unknown.length === 0) return { status: 'True', reason: 'PodCompleted' };
  const hasStarted = containers.some(({ name }) => {
    const state = statuses.get(name)?.state;
    return state?.running !== undefined || state?.terminated !== undefined;
  });
  if (hasStarted) return yes;
  const incomplete = initContainers
    .filter((container) => {
      const status = statuses.get(container.name);
      return status && !(isSidecar(container) ? status.started === true : status.ready);
    })
    .map(({ name }) => name);
  const message = unreadyMessage(unknown, incomplete, 'incomplete');
  // Once initialized, a pod that starts over in place stays so.
  const wasInitialized = previous?.conditions?.some(({ type, status }) => type === 'Initialized' && status === 'True');
  if (message === '' || wasInitialized === true) return yes;
  return { status: 'False', reason: 'ContainersNotInitialized', message };
}

function restartingVerdict({ phase, restartingAll }: ConditionsQuestion): Verdict {
  if (phase === 'Succeeded') return { status: 'False', reason: 'PodCompleted' };
  if (phase === 'Failed') return { status: 'False', reason: 'PodFailed' };
  if (!restartingAll) return { status: 'False' };
  return {
    status: 'True',
    reason: 'RestartAllContainersStarted',
    message: 'container exited with restart policy rule',
  };
}
