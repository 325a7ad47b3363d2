import type { PodStatus, PodUid } from '../api/index.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { DesiredPod, PodFacts } from './pod-facts.js';
import type { Operations } from './operations.js';
import type { PodPlan, Step } from './steps.js';
import type { Wakeups } from './wakeups.js';

/** What a pass concluded, for those who show it. */
export interface PassResult {
  readonly desired: DesiredPod | undefined;
  readonly status: PodStatus | undefined;
  readonly plan: PodPlan;
}

export interface PodLoopDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly operations: Operations;
  /** Their waits end with the loop's signal. */
  readonly wakeups: Wakeups<PodUid>;
  desired(): DesiredPod | undefined;
  /** Reads the world afresh. */
  facts(signal: AbortSignal): Promise<PodFacts>;
  plan(desired: DesiredPod | undefined, facts: PodFacts, now: number): PodPlan;
  status(desired: DesiredPod | undefined, facts: PodFacts, plan: PodPlan, now: number): PodStatus | undefined;
  /** Called with each step that a pass starts, before it runs. */
  starting(step: Step): void;
  /** Called after each pass; must not wait. */
  report(result: PassResult): void;
}

/** How long a pass that could not even read the facts waits; the runtime is away. */
const rereadAfterMs = { first: 100, last: 5000 };

/**
 * The one writer of a pod: reads facts, plans, starts what the plan names, reports, and waits for the next wake-up. Returns
 * when nothing of the pod is left. Level-triggered: it may be ended and started again at any point.
 */
export async function runPodLoop(uid: PodUid, deps: PodLoopDeps, signal: AbortSignal): Promise<void> {
  let unreadable = 0;
  while (true) {
    let waitMs: number | undefined;
    try {
      const result = await pass(deps, signal);
      unreadable = 0;
      if (result.plan.next === 'forget') return;
      const { lookAgainAt } = result.plan;
      waitMs = lookAgainAt === undefined ? undefined : lookAgainAt - deps.clock.now();
    } catch (err) {
      signal.throwIfAborted();
      waitMs = Math.min(rereadAfterMs.first * 2 ** unreadable++, rereadAfterMs.last);
      deps.log.warn({ podUid: uid, err: errorText(err), retryInMs: waitMs }, 'pod pass failed');
    }
    await deps.wakeups.wait(uid, waitMs);
  }
}

async function pass(deps: PodLoopDeps, signal: AbortSignal): Promise<PassResult> {
  const facts = await deps.facts(signal);
  // After the await: the desired state is the newest there is, and plan and start happen in one turn.
  const desired = deps.desired();
  const now = deps.clock.now();
  const plan = deps.plan(desired, facts, now);
  const status = deps.status(desired, facts, plan, now);
  deps.operations.cancel(plan.cancel);
  for (const step of plan.steps) {
    deps.starting(step);
    deps.operations.start(step);
  }
  const result = { desired, status, plan };
  deps.report(result);
  return result;
}
