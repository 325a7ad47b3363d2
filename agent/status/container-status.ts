import { toRfc3339 } from '../../base/clock.js';
import type {
  ContainerState,
  ContainerStateTerminated,
  ContainerStateWaiting,
  ContainerStatus,
  ContainerUser,
  VolumeMountStatus,
} from '../api/index.js';
import type { ObservedContainer } from '../podloop/pod-facts.js';
import { endOf, isReady, isStarted, unknownExitCode, type ContainerView, type PodView } from '../podloop/pod-view.js';
import { inferredEndReasons } from '../podloop/start-question.js';
import type { PodPlan } from '../podloop/steps.js';
import { actualResources } from './container-resources.js';
import { commonWait, startProblem } from './waiting-reason.js';

/** What the statuses of all containers of a pod depend on. */
export interface StatusContext {
  readonly view: PodView;
  readonly plan: PodPlan;
  /** Init containers are done: regular ones may run. */
  readonly initialized: boolean;
  /** Some regular container has been created. */
  readonly regularSeen: boolean;
  /** All containers are being removed to start over. */
  readonly restartingAll: boolean;
  /** The pod ends: nothing of it starts again. */
  readonly ending: boolean;
  /** The pod was deleted: what is missing was taken away on purpose. */
  readonly deleted: boolean;
  /** Bytes each termination message may have. */
  readonly messageBytes: number;
  /** Containers that shall start now and do not run. */
  readonly due: ReadonlySet<ContainerView>;
}

const nothing: ContainerState = {};

export function containerStatus(context: StatusContext, container: ContainerView): ContainerStatus {
  const instances = visibleInstances(container);
  const [latest] = instances;
  const status = latest ? observed(context, container, latest, instances) : missing(context, container);
  const problem = context.due.has(container) ? startProblem(context.view, container, context.plan) : undefined;
  if (!problem) return withProbes(context, container, status, latest);
  const lastState = status.state?.terminated ? status.state : status.lastState;
  const stuck: ContainerStatus = { ...status, state: { waiting: problem }, ...(lastState && { lastState }) };
  return withProbes(context, container, stuck, latest);
}

/** A container counts as running only after its postStart hook: until then its start is still under way. */
function visibleInstances({ instances, latest, starting }: ContainerView): readonly ObservedContainer[] {
  const isInTheMaking = latest?.state === 'running' || latest?.state === 'created';
  return starting && isInTheMaking ? instances.slice(1) : instances;
}

function base(container: ContainerView): Omit<ContainerStatus, 'state' | 'lastState'> {
  const { name, spec } = container;
  const volumeMounts = volumeMountStatuses(container);
  return {
    name,
    image: spec.image ?? '',
    imageID: '',
    ready: false,
    restartCount: 0,
    ...(volumeMounts && { volumeMounts }),
  };
}

/** The runtime has nothing of it: it never ran, or what ran is forgotten or gone. */
function missing(context: StatusContext, container: ContainerView): ContainerStatus {
  const { reported } = container;
  const start = { ...base(container), state: { waiting: defaultWaiting(context) }, lastState: nothing };
  if (context.restartingAll && isReset(container) && reported && !reported.state?.waiting) {
    const message = 'The container is removed because RestartAllContainers in place';
    const reason = inferredEndReasons.restartAll;
    return {
      ...start,
      restartCount: reported.restartCount + 1,
      state: { waiting: { reason, message } },
      lastState: { terminated: { exitCode: unknownExitCode, reason, message } },
    };
  }
  if (reported?.state?.terminated) return reported;
  const isInitDone = container.kind === 'init' && context.regularSeen && !context.restartingAll;
  if (isInitDone) return { ...start, restartCount: reported?.restartCount ?? 0, state: { terminated: assumedDone } };
  if (!reported) return start;
  const { restartCount, lastState = nothing } = reported;
  if (!reported.state?.running || lastState.terminated) return { ...start, restartCount, lastState };
  return {
    ...start,
    restartCount: context.deleted ? restartCount : restartCount + 1,
    lastState: { terminated: lostContainer },
  };
}

const isReset = ({ kind }: ContainerView): boolean => kind !== 'ephemeral';

const assumedDone: ContainerStateTerminated = {
  exitCode: 0,
  reason: 'Completed',
  message:
    'Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally',
};

const lostContainer: ContainerStateTerminated = {
  exitCode: unknownExitCode,
  reason: inferredEndReasons.unknown,
  message: 'The container could not be located when the pod was deleted.  The container used to be Running',
};

function defaultWaiting({ view, plan, initialized }: StatusContext): ContainerStateWaiting {
  return commonWait(plan, view.init.length > 0 && !initialized ? 'PodInitializing' : 'ContainerCreating');
}

function observed(
  context: StatusContext,
  container: ContainerView,
  latest: ObservedContainer,
  instances: readonly ObservedContainer[],
): ContainerStatus {
  const { reported, spec } = container;
  const user = containerUser(latest);
  const requests = spec.resources?.requests;
  const stopSignal = spec.lifecycle?.stopSignal;
  return {
    ...base(container),
    image: latest.image || (spec.image ?? ''),
    imageID: latest.imageRef,
    containerID: latest.containerId,
    restartCount: Math.max(latest.restartCount, reported?.restartCount ?? 0),
    state: stateOf(context, container, latest),
    lastState: lastStateOf(context, container, latest, instances),
    resources: actualResources(spec, latest),
    ...(requests && { allocatedResources: requests }),
    ...(user && { user }),
    ...(stopSignal !== undefined && { stopSignal }),
  };
}

function stateOf(context: StatusContext, container: ContainerView, latest: ObservedContainer): ContainerState {
  switch (latest.state) {
    case 'running':
      return { running: { startedAt: toRfc3339(latest.startedAt) } };
    case 'created':
      return { waiting: defaultWaiting(context) };
    case 'exited':
    case 'unknown':
      return { terminated: terminated(context, container, latest) };
  }
}

function lastStateOf(
  context: StatusContext,
  container: ContainerView,
  latest: ObservedContainer,
  instances: readonly ObservedContainer[],
): ContainerState {
  const previous = instances.slice(1).find((instance) => endOf(context.view.facts, instance) !== undefined);
  if (previous) return { terminated: terminated(context, container, previous) };
  const { reported } = container;
  if (reported?.containerID !== latest.containerId && reported?.state?.terminated) return reported.state;
  // While it waited to start again, its end was told as the one before.
  const before = reported?.lastState;
  return before && before.terminated?.containerID !== latest.containerId ? before : nothing;
}

function terminated(
  { messageBytes }: StatusContext,
  { reported }: ContainerView,
  instance: ObservedContainer,
): ContainerStateTerminated {
  // How a container ended does not change; what was read of it once may be gone now.
  const before = [reported?.state?.terminated, reported?.lastState?.terminated].find(
    (each) => each?.containerID === instance.containerId && each.reason !== inferredEndReasons.unknown,
  );
  if (before) return withStart(before, instance);
  if (instance.state === 'unknown') {
    return {
      exitCode: unknownExitCode,
      reason: inferredEndReasons.unknown,
      message: 'The container could not be located when the pod was terminated',
      containerID: instance.containerId,
    };
  }
  const message = truncate(instance.message, messageBytes);
  return {
    exitCode: instance.exitCode,
    ...(instance.reason !== '' && { reason: instance.reason }),
    ...(message !== '' && { message }),
    ...(instance.startedAt > 0 && { startedAt: toRfc3339(instance.startedAt) }),
    ...(instance.finishedAt > 0 && { finishedAt: toRfc3339(instance.finishedAt) }),
    containerID: instance.containerId,
  };
}

/** A short program may be seen to end before its start is back. */
function withStart(before: ContainerStateTerminated, { startedAt }: ObservedContainer): ContainerStateTerminated {
  return before.startedAt !== undefined || startedAt === 0 ? before : { ...before, startedAt: toRfc3339(startedAt) };
}

function truncate(text: string, bytes: number): string {
  if (text.length * 4 <= bytes) return text;
  const all = Buffer.from(text);
  if (all.length <= bytes) return text;
  let end = bytes;
  // Not in the middle of a character.
  while (end > 0 && ((all[end] ?? 0) & 0xc0) === 0x80) end--;
  return all.toString('utf8', 0, end);
}

function withProbes(
  { view }: StatusContext,
  container: ContainerView,
  status: ContainerStatus,
  latest: ObservedContainer | undefined,
): ContainerStatus {
  if (container.kind === 'ephemeral') return status;
  const isRunning = latest !== undefined && status.state?.running !== undefined;
  const started = isRunning && isStarted(view, container, latest);
  const ready =
    container.kind === 'init'
      ? status.state?.terminated?.exitCode === 0
      : isRunning && isReady(view, container, latest);
  return status.started === started && status.ready === ready ? status : { ...status, started, ready };
}

function containerUser({ user }: ObservedContainer): ContainerUser | undefined {
  if (!user) return undefined;
  const { linux } = user;
  if (!linux) return {};
  const { uid = 0, gid = 0, supplementalGroups } = linux;
  return { linux: { uid, gid, ...(supplementalGroups && { supplementalGroups: [...supplementalGroups] }) } };
}

/** The runtime does not know volume names, so the spec says what is mounted, and the runtime how. */
function volumeMountStatuses({ spec, latest, reported }: ContainerView): VolumeMountStatus[] | undefined {
  if (!spec.volumeMounts || spec.volumeMounts.length === 0) return undefined;
  if (reported?.volumeMounts && latest && reported.containerID === latest.containerId) return reported.volumeMounts;
  return spec.volumeMounts.map(({ name, mountPath, readOnly }) => {
    if (readOnly !== true) return { name, mountPath };
    const mount = latest?.mounts.find(({ containerPath }) => containerPath === mountPath);
    return { name, mountPath, readOnly, recursiveReadOnly: mount?.recursiveReadOnly === true ? 'Enabled' : 'Disabled' };
  });
}
