import { podFullName } from '../../api/index.js';
import { formatGoDuration } from '../go-duration.js';
import { initProgress, type InitProgress } from '../init-progress.js';
import type { PlanDraft, Progress } from './plan-draft.js';
import type { ObservedSandbox, PlanPolicy } from '../pod-facts.js';
import { currentInstance, isAlive, type ContainerView, type PodView } from '../pod-view.js';
import { needsStart, nextRestartCount, startTiming } from '../start-question.js';

/**
 * Starts what shall run in the sandbox: init containers in order, regular ones one after another (a postStart hook holds back
 * those behind it, a failure does not), ephemeral ones at any time.
 */
export function planStarts(
  view: PodView,
  draft: PlanDraft,
  policy: PlanPolicy,
  sandbox: ObservedSandbox,
): InitProgress {
  const progress = initProgress(view);
  const start = (container: ContainerView): Progress => startContainer(view, draft, policy, sandbox, container);
  for (const container of view.ephemeral) if (needsStart(view, container)) start(container);
  startInOrder(view.init, progress.toStart, start);
  if (progress.initialized) {
    const down = view.regular.filter((container) => needsStart(view, container));
    startInOrder(view.regular, down, start);
  }
  fetchImages(view, draft, policy, progress);
  return progress;
}

function startInOrder(
  all: readonly ContainerView[],
  down: readonly ContainerView[],
  start: (container: ContainerView) => Progress,
): void {
  const starting = all.find((container) => container.starting);
  // Waits for it, or cancels it when it is for another sandbox.
  if (starting) start(starting);
  else for (const container of down) if (start(container) === 'busy') break;
}

function startContainer(
  view: PodView,
  draft: PlanDraft,
  policy: PlanPolicy,
  sandbox: ObservedSandbox,
  container: ContainerView,
): Progress {
  const { name, kind, latest } = container;
  const image = readyImage(container);
  const timing = startTiming(view, container, policy);
  const step = {
    kind: 'start-container' as const,
    container: name,
    role: kind,
    sandboxId: sandbox.id,
    imageId: image ?? '',
    restartCount: nextRestartCount(container),
    ...(timing.kind === 'now' && timing.backoff && { backoff: timing.backoff }),
  };
  if (container.starting) return draft.do(step);
  // One of another sandbox, on its way out: two instances must never run beside each other.
  if (container.instances.some((instance) => isAlive(view.facts, instance))) return 'busy';
  if (latest?.state === 'created') {
    // The runtime made it and could not start it, or the agent died in between.
    const which = { container: name, containerId: latest.id };
    return draft.do({ kind: 'remove-container', ...which, keepLogs: false, neverRan: true });
  }
  if (timing.kind === 'wait') {
    waitForBackoff(view, draft, container, timing);
    return 'held';
  }
  const failure = draft.relevantFailure(step);
  if (failure && failure.nextTry > view.now) return draft.do(step);
  return image === undefined ? ensureImage(draft, container) : draft.do(step);
}

function waitForBackoff(
  view: PodView,
  draft: PlanDraft,
  container: ContainerView,
  { until, delayMs }: { readonly until: number; readonly delayMs: number },
): void {
  const { name } = container;
  const { pod, facts } = view;
  const failure = facts.failures.get(`start-container/${name}`);
  draft.lookAgain(until);
  draft.wait('backoff', {
    step: 'restart-back-off',
    object: `container ${name}`,
    container: name,
    since: until - delayMs,
    attempt: (container.latest?.restartCount ?? 0) + 1,
    lastError: {
      reason: 'CrashLoopBackOff',
      message: `back-off ${formatGoDuration(delayMs)} restarting failed container=${name} pod=${podFullName(pod)}(${view.desired.uid})`,
    },
    ...(failure && { cause: { reason: failure.reason, message: failure.message } }),
    nextTry: until,
  });
}

/** Id of the container's image, when an image step for the spec's image has succeeded since the last start. */
function readyImage(container: ContainerView): string | undefined {
  const { imageReady } = container.notes;
  return imageReady?.image === (container.spec.image ?? '') ? imageReady.imageId : undefined;
}

function ensureImage(draft: PlanDraft, container: ContainerView): Progress {
  return draft.do({ kind: 'ensure-image', container: container.name, image: container.spec.image ?? '' });
}

/** Gets the images of the containers whose first start in this sandbox is still to come, so that none is waited for later. */
function fetchImages(view: PodView, draft: PlanDraft, policy: PlanPolicy, progress: InitProgress): void {
  const lastInit = view.init.findLastIndex((container) => currentInstance(view, container) ?? container.starting);
  const coming = [
    ...(progress.initialized ? [] : view.init.slice(lastInit + 1)),
    ...view.regular.filter((container) => needsStart(view, container)),
  ];
  for (const container of coming) {
    if (container.starting || currentInstance(view, container) || readyImage(container) !== undefined) continue;
    if (startTiming(view, container, policy).kind === 'now') ensureImage(draft, container);
  }
}
