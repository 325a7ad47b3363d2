import type { ContainerStatus, PodSpec, PodStatus } from '../api/index.js';
import type { DesiredPod, ObservedContainer, PodFacts } from '../podloop/pod-facts.js';
import { container, one } from '../podloop/plan/plan-fixtures.js';
import { planPod } from '../podloop/plan/plan-pod.js';
import { testDesired, testFacts, testPod, testPolicy, testSandbox, testStart as now } from '../podloop/pod-fixtures.js';
import { stepKey, type Step, type StepFailure } from '../podloop/steps.js';
import { deriveStatus } from './derive-status.js';

// For the tables of tests: what a pod is and has, in few words.

export { container, one, runtime } from '../podloop/plan/plan-fixtures.js';

export const time = '2026-01-01T00:00:00Z';
export const earlier = '2025-12-31T23:00:00Z';

export interface Given {
  readonly spec?: Partial<PodSpec>;
  readonly metadata?: Parameters<typeof testPod>[1];
  readonly desired?: Partial<DesiredPod>;
  readonly facts?: Partial<PodFacts>;
}

export function derive({ spec, metadata, desired, facts }: Given): PodStatus {
  const wanted = testDesired(testPod(spec, metadata), desired);
  const seen = testFacts(facts);
  const status = deriveStatus(wanted, seen, planPod(wanted, seen, testPolicy, now), now);
  if (!status) throw new Error('there is no status');
  return status;
}

export const exited = (name: string, exitCode: number, fields: Partial<ObservedContainer> = {}): ObservedContainer =>
  container(name, {
    state: 'exited',
    exitCode,
    finishedAt: now,
    reason: exitCode === 0 ? 'Completed' : 'Error',
    ...fields,
  });
export const stopped = (...containers: readonly ObservedContainer[]): PodFacts['runtime'] => ({
  sandboxes: [testSandbox({ ready: false })],
  containers,
});
export const failure = (step: Step, reason: string, fields: Partial<StepFailure> = {}): PodFacts['failures'] =>
  new Map([
    [
      stepKey(step),
      { step, attempt: 1, since: now, failedAt: now, nextTry: now + 5000, reason, message: 'the cause', ...fields },
    ],
  ]);

export const two = {
  containers: [
    { name: 'b', image: 'b:1' },
    { name: 'a', image: 'a:1' },
  ],
};
export const withInit = { ...one, initContainers: [{ name: 'first', image: 'first:1' }] };
export const withSidecar = {
  ...one,
  initContainers: [{ name: 'side', image: 'side:1', restartPolicy: 'Always' as const }],
};

export const start = (name: string): Step => ({
  kind: 'start-container',
  container: name,
  role: 'regular',
  sandboxId: 's0',
  imageId: 'i',
  restartCount: 0,
});
export const ensure: Step = { kind: 'ensure-image', container: 'a', image: 'a:1' };

export const stateOf = (status: PodStatus, name: string): ContainerStatus | undefined =>
  [
    ...(status.initContainerStatuses ?? []),
    ...(status.containerStatuses ?? []),
    ...(status.ephemeralContainerStatuses ?? []),
  ].find((each) => each.name === name);

export function reported(fields: Partial<ContainerStatus>): ContainerStatus {
  return { name: 'a', image: 'a:1', imageID: '', ready: false, restartCount: 0, ...fields };
}
