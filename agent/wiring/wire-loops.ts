import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { AgentConfig } from '../config/agent-config.js';
import { describeFailure, executeStep, type Executors } from '../executors/index.js';
import type { FaultPoint } from '../fault-point.js';
import type { PodLogFolders } from '../logs/pod-log-folders.js';
import type { RuntimeObserver } from '../observe/runtime-observer.js';
import { nextTryAfter } from '../podloop/backoff.js';
import { planPod } from '../podloop/plan/plan-pod.js';
import { PodLoops } from '../podloop/pod-loops.js';
import type { Step } from '../podloop/steps.js';
import type { DesiredPods } from '../pods/desired-pods.js';
import type { HostFacts } from '../node/host-facts.js';
import { gatherFacts, type GatherFactsDeps } from '../pods/gather-facts.js';
import type { PodStatuses } from '../pods/pod-statuses.js';
import type { ReferenceWatch } from '../pods/reference-watch.js';
import type { PodProbes } from '../probes/pod-probes.js';
import { deriveStatus } from '../status/index.js';

export interface LoopParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly executors: Executors;
  readonly observer: RuntimeObserver;
  readonly probes: PodProbes;
  readonly logs: PodLogFolders;
  readonly statuses: PodStatuses;
  readonly references: ReferenceWatch;
  /** Its addresses as pods are told them now. */
  readonly host: Pick<HostFacts, 'addresses'>;
  readonly facts: Omit<GatherFactsDeps, 'hostIps'>;
  readonly at?: FaultPoint | undefined;
  desired(): DesiredPods;
}

/** Steps that read what a pod's containers refer to. */
export const startSteps: ReadonlySet<Step['kind']> = new Set(['ensure-image', 'start-container']);

/** Steps that change nothing the runtime would tell of. */
const besideTheRuntime: ReadonlySet<Step['kind']> = new Set([
  'prepare-pod',
  'mount-volumes',
  'ensure-image',
  'pre-stop',
  'unmount-volumes',
  'release-pod',
]);

/** Steps that say themselves what they made of the runtime's things, when they are done. */
const saysWhatChanged: ReadonlySet<Step['kind']> = new Set([
  'create-sandbox',
  'start-container',
  'kill-container',
  'stop-sandbox',
  'remove-container',
  'remove-sandbox',
]);

/** Quiet time after which a container's restart back-off starts again (kubelet). */
const backoffResetMs = 600_000;
const firstBackoffMs = 10_000;

/** The loops of all pods: facts in, plans out, steps to their executors, statuses to those who show them. */
export function wireLoops(config: AgentConfig, parts: LoopParts): PodLoops {
  const { clock, log, executors, observer, statuses, references, at } = parts;
  const maxMs = config.limits.restartBackoffMaxMs;
  const policy = {
    restartBackoff: { initialMs: Math.min(firstBackoffMs, maxMs), maxMs, resetAfterMs: backoffResetMs },
  };
  return new PodLoops({
    clock,
    log,
    desired: (uid) => parts.desired().get(uid),
    facts: (pod, signal) => gatherFacts(pod, { ...parts.facts, hostIps: parts.host.addresses }, signal),
    plan: (wanted, facts, now) => planPod(wanted, facts, policy, now),
    status: (wanted, facts, plan, now) => (wanted ? deriveStatus(wanted, facts, plan, now) : undefined),
    execute: async (step, pod, signal) => {
      await at?.(`before ${step.kind}`);
      await executeStep(executors, step, pod, signal);
      await at?.(`after ${step.kind}`);
    },
    describe: describeFailure,
    retryAfter: nextTryAfter,
    stepEnded: (pod, step, outcome) => {
      const told = outcome === 'done' && saysWhatChanged.has(step.kind);
      if (!told && !besideTheRuntime.has(step.kind)) observer.invalidate(pod.uid);
      if (!startSteps.has(step.kind)) return;
      const wanted = parts.desired().get(pod.uid);
      if (typeof outcome === 'object' && wanted) references.failed(pod.uid, wanted.pod);
      else if (step.kind === 'start-container') references.release(pod.uid);
    },
    reported: (uid, result) => statuses.report(uid, result),
    gone: async (uid) => {
      const desired = parts.desired();
      const last = desired.get(uid);
      parts.probes.remove(uid);
      references.release(uid);
      observer.forget(uid);
      await parts.logs
        .removePod(uid)
        .catch((err: unknown) => log.warn({ podUid: uid, err: errorText(err) }, 'pod logs could not be removed'));
      desired.gone(uid);
      statuses.gone(uid, last);
    },
  });
}
