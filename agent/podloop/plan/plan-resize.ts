import { containerChange } from '../../resources/resize/plan-resize.js';
import { resourcesOf, hasResources } from '../../resources/resize/pod-resources.js';
import type { PlanDraft } from './plan-draft.js';
import { currentInstance, currentSandbox, isAlive, type ContainerView, type PodView } from '../pod-view.js';

/** What has to be done about a container that runs with other resources than it is promised. */
export type ResizeNeed = 'none' | 'update' | 'restart';

export function resizeNeed(view: PodView, container: ContainerView): ResizeNeed {
  const { resize } = view.facts;
  if (!resize || container.kind === 'ephemeral' || container.starting) return 'none';
  if (currentInstance(view, container)?.state !== 'running') return 'none';
  const change = containerChange(resize.given, view.pod, container.spec);
  if (!change) return 'none';
  // Plain init containers have no policy that would let them be started anew.
  return change.restart && container.kind !== 'init' ? 'restart' : 'update';
}

/**
 * Gives the pod and its containers what they are promised now. True while nothing may be started: the pod's cgroup must have grown before
 * a container that grew starts in it.
 */
export function planResize(view: PodView, draft: PlanDraft): boolean {
  tellRefusal(view, draft);
  if (!isUnsettled(view)) return false;
  // What is being started has what was promised then; what it needs is known when it has started.
  const sandbox = currentSandbox(view);
  if (view.containers.some(({ starting }) => starting?.sandboxId === sandbox?.id && starting)) return true;
  // What starts anew is ended first: it could use more than the pod is left with.
  const ending = view.containers.some((container) => {
    const instance = currentInstance(view, container);
    return resizeNeed(view, container) === 'restart' && instance !== undefined && isAlive(view.facts, instance);
  });
  if (ending) return true;
  return draft.do({ kind: 'resize-pod' }) === 'busy';
}

function isUnsettled(view: PodView): boolean {
  if (!view.facts.resize) return false;
  if (!isSized(view)) return true;
  return view.containers.some((container) => resizeNeed(view, container) !== 'none');
}

/** The pod's cgroup is limited for what the pod is promised now. */
function isSized({ facts, pod }: PodView): boolean {
  const sizedFor = facts.resize?.sizedFor;
  return sizedFor !== undefined && (sizedFor === pod || hasResources(pod, resourcesOf(sizedFor)));
}

/** Ended for its new resources, and not there again. */
function isBetweenStarts({ notes, latest }: ContainerView): boolean {
  return notes.killed?.why === 'resize' && notes.killed.containerId === latest?.id;
}

function tellRefusal({ facts, now }: PodView, draft: PlanDraft): void {
  const refusal = facts.resize?.refusal;
  if (!refusal) return;
  const condition = facts.lastReported?.conditions?.find(({ type }) => type === 'PodResizePending');
  draft.wait('probing', {
    step: 'resize',
    object: 'resources',
    since: Date.parse(condition?.lastTransitionTime ?? '') || now,
    attempt: 1,
    lastError: { reason: refusal.kind, message: refusal.message },
  });
}

export interface ResizeProgress {
  readonly reason?: string | undefined;
  readonly message?: string | undefined;
}

/** How the resize that is under way goes; undefined when there is none. */
export function resizeProgress(view: PodView): ResizeProgress | undefined {
  const { resize, failures } = view.facts;
  if (!resize) return undefined;
  const podLevel = view.pod.spec?.resources !== undefined && resize.sizedFor !== undefined && !isSized(view);
  const isUnderWay = (container: ContainerView): boolean =>
    resizeNeed(view, container) !== 'none' || isBetweenStarts(container);
  if (!podLevel && !view.containers.some(isUnderWay)) return undefined;
  const failure = failures.get('resize-pod');
  return failure ? { reason: 'Error', message: failure.message } : {};
}
