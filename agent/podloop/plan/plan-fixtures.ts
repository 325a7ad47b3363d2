import type { PodSpec } from '../../api/index.js';
import type { DesiredPod, ObservedContainer, PodFacts } from '../pod-facts.js';
import { planPod } from './plan-pod.js';
import {
  testContainer,
  testDesired,
  testFacts,
  testPod,
  testPolicy,
  testSandbox,
  testStart as now,
} from '../pod-fixtures.js';
import { stepKey, type CurrentWait, type PodPlan, type Step, type StepFailure } from '../steps.js';

// For the tables of tests: what a pod is and has, in few words.

export interface Case {
  readonly spec?: Partial<PodSpec>;
  readonly desired?: Partial<DesiredPod>;
  readonly facts: Partial<PodFacts>;
  readonly plan: Partial<PodPlan>;
}

/** A step the pod waits for, as the plan tells it. */
export function waitFor(step: CurrentWait['step'], object: string, fields: Partial<CurrentWait> = {}): CurrentWait {
  const container = object.startsWith('container ') ? object.slice('container '.length) : undefined;
  return { step, object, since: now, attempt: 1, ...(container !== undefined && { container }), ...fields };
}

export const unready = (
  name: string,
  step: 'startup-probe' | 'readiness-probe' | 'init-container',
  words: string,
): CurrentWait => waitFor(step, `container ${name}`, { lastError: { reason: 'ContainersNotReady', message: words } });

export function failed(step: Step, reason: string, nextTry: number, attempt = 1): StepFailure {
  return { step, attempt, since: now - 1000, failedAt: now, nextTry, reason, message: 'the cause' };
}

export const failures = (...list: readonly StepFailure[]): ReadonlyMap<string, StepFailure> =>
  new Map(list.map((failure) => [stepKey(failure.step), failure]));

export const ensure = (container: string): Step => ({ kind: 'ensure-image', container, image: `${container}:1` });
export const imageWait = (container: string): CurrentWait =>
  waitFor('ensure-image', `image ${container}:1`, { container });

export function start(container: string, fields: Partial<Step & { kind: 'start-container' }> = {}): Step {
  return {
    kind: 'start-container',
    container,
    role: 'regular',
    sandboxId: 's0',
    imageId: `id-${container}`,
    restartCount: 0,
    ...fields,
  };
}

export const images = (...names: readonly string[]): PodFacts['notes'] =>
  new Map(names.map((name) => [name, { imageReady: { image: `${name}:1`, imageId: `id-${name}` } }]));

export const container = (name: string, fields: Partial<ObservedContainer> = {}): ObservedContainer =>
  testContainer({ name, image: `${name}:1`, ...fields });
export const exited = (name: string, exitCode: number, fields: Partial<ObservedContainer> = {}): ObservedContainer =>
  container(name, { state: 'exited', exitCode, finishedAt: now - 5000, ...fields });

export const runtime = (...containers: readonly ObservedContainer[]): PodFacts['runtime'] => ({
  sandboxes: [testSandbox()],
  containers,
});

export const kill = (name: string, fields: Partial<Step & { kind: 'kill-container' }> = {}): Step => ({
  kind: 'kill-container',
  container: name,
  containerId: `${name}-0`,
  why: { kind: 'pod-terminating' },
  graceSeconds: 30,
  preStop: true,
  ...fields,
});
export const killWait = (name: string): CurrentWait => waitFor('kill-container', `container ${name}`);

export const two = {
  containers: [
    { name: 'a', image: 'a:1' },
    { name: 'b', image: 'b:1' },
  ],
};
export const one = { containers: [{ name: 'a', image: 'a:1' }] };
export const withInit = {
  ...one,
  initContainers: [
    { name: 'first', image: 'first:1' },
    { name: 'side', image: 'side:1', restartPolicy: 'Always' as const },
    { name: 'second', image: 'second:1' },
  ],
};
export const deleted = (graceSeconds: number, since = now): Partial<DesiredPod> => ({
  termination: { cause: 'deleted', since, graceSeconds },
});

export const away = { resource: 'a.com/gpu', reason: 'its plugin is away', since: now - 1000 };

/** The plan of a case. */
export function planned({ spec, desired, facts }: Case): PodPlan {
  const seen = { agentStartedAt: now - 60_000, ...facts };
  return planPod(testDesired(testPod(spec), desired), testFacts(seen), testPolicy, now);
}

/** The whole of the plan that a case tells the parts of. */
export function expected({ plan }: Case): PodPlan {
  return { steps: [], cancel: [], next: 'wait', waits: [], ...plan };
}
