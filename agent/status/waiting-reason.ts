import type { ContainerStateWaiting } from '../api/index.js';
import type { PodFacts } from '../podloop/pod-facts.js';
import { currentSandbox, type ContainerView, type PodView } from '../podloop/pod-view.js';
import type { CurrentWait, PodPlan, StepFailure } from '../podloop/steps.js';

/** Why a container that should start does not; undefined while nothing is wrong. */
export function startProblem(
  view: PodView,
  container: ContainerView,
  plan: PodPlan,
): ContainerStateWaiting | undefined {
  const { name } = container;
  const backoff = plan.waits.find((wait) => wait.step === 'restart-back-off' && wait.container === name);
  if (backoff?.lastError) return { ...backoff.lastError };
  const start = startFailure(view, container);
  const image = imageFailure(view.facts, container);
  if (image && (!start || image.failedAt > start.failedAt)) return imageProblem(view.facts, container, image);
  return start && { reason: start.reason, message: start.message };
}

function startFailure(view: PodView, { name }: ContainerView): StepFailure | undefined {
  const failure = view.facts.failures.get(`start-container/${name}`);
  if (failure?.step.kind !== 'start-container') return undefined;
  return failure.step.sandboxId === currentSandbox(view)?.id ? failure : undefined;
}

function imageFailure({ failures }: PodFacts, { name, spec }: ContainerView): StepFailure | undefined {
  const failure = failures.get(`ensure-image/${name}`);
  return failure?.step.kind === 'ensure-image' && failure.step.image === (spec.image ?? '') ? failure : undefined;
}

/** Failures of the pull itself, which are tried again later and later. */
const pullFailures = new Set(['ErrImagePull', 'RegistryUnavailable', 'SignatureValidationFailed']);

function imageProblem(facts: PodFacts, { name, spec }: ContainerView, failure: StepFailure): ContainerStateWaiting {
  const { reason, message } = failure;
  if (!pullFailures.has(reason) || facts.inFlight.has(`ensure-image/${name}`)) return { reason, message };
  return {
    reason: 'ImagePullBackOff',
    message: `Back-off pulling image "${spec.image ?? ''}": ${reason}: ${message}`,
  };
}

/** Steps that all containers of a pod wait for. */
const podSteps: ReadonlySet<CurrentWait['step']> = new Set([
  'prepare-pod',
  'devices',
  'mount-volumes',
  'create-sandbox',
  'network',
]);

/** Of a container whose turn has not come: what the pod as a whole is stuck at, if it is. */
export function commonWait(plan: PodPlan, reason: string): ContainerStateWaiting {
  const stuck = plan.waits.find((wait) => podSteps.has(wait.step) && wait.lastError !== undefined);
  return stuck?.lastError ? { reason, message: stuck.lastError.message } : { reason };
}
