import type { ObservedContainer, PodFacts } from '../pod-facts.js';
import {
  stepKey,
  type CurrentWait,
  type KillWhy,
  type Operation,
  type PodPlan,
  type Step,
  type StepFailure,
} from '../steps.js';

/** What became of a step that the plan wants. */
export type Progress =
  /** Begun by this plan, or under way since an earlier one. */
  | 'busy'
  /** Failed and not to be tried again yet. */
  | 'held';

/** A higher number is told later. */
const rank = { failing: 0, backoff: 1, blocked: 2, running: 3, probing: 4, cleaning: 5 } as const;
type Rank = keyof typeof rank;

/** True when a failure or an operation of one step is about what the other step wants too. */
export function sameTarget(a: Step, b: Step): boolean {
  if (a.kind === 'ensure-image' && b.kind === 'ensure-image') return a.image === b.image;
  if (a.kind === 'start-container' && b.kind === 'start-container') return a.sandboxId === b.sandboxId;
  return a.kind === b.kind;
}

/** A plan in the making; looks after what is under way already, what failed a moment ago, and when to look again. */
export class PlanDraft {
  readonly #facts: PodFacts;
  readonly #now: number;
  readonly #steps: Step[] = [];
  readonly #begun = new Set<string>();
  readonly #cancel = new Set<string>();
  readonly #told = new Set<string>();
  readonly #waits: Array<{ readonly rank: Rank; readonly wait: CurrentWait }> = [];
  #lookAgainAt: number | undefined;

  constructor(facts: PodFacts, now: number) {
    this.#facts = facts;
    this.#now = now;
  }

  /** Wants a step done. `cleaning`: the pod does not wait for it, it is only told of when it fails. */
  do(step: Step, manner: 'needed' | 'cleaning' = 'needed'): Progress {
    const key = stepKey(step);
    const operation = this.#facts.inFlight.get(key);
    const failure = this.relevantFailure(step);
    if (operation) {
      if (!sameTarget(operation.step, step)) this.#cancel.add(key);
      this.#waitForStep(step, operation, failure, manner);
      return 'busy';
    }
    if (this.#begun.has(key)) return 'busy';
    if (failure && failure.nextTry > this.#now) {
      this.lookAgain(failure.nextTry);
      this.#waitForStep(step, failure, failure, manner, failure.nextTry);
      return 'held';
    }
    this.#begun.add(key);
    this.#steps.push(step);
    this.#waitForStep(
      step,
      { since: failure?.since ?? this.#now, attempt: (failure?.attempt ?? 0) + 1 },
      failure,
      manner,
    );
    return 'busy';
  }

  /**
   * Wants a container killed. One that is being killed is left alone, unless `hurry` and its time is now shorter: then the kill is
   * issued again, beside the one under way.
   */
  kill(instance: ObservedContainer, why: KillWhy, graceSeconds: number, hurry = false): Progress {
    const step: Step = {
      kind: 'kill-container',
      container: instance.name,
      containerId: instance.id,
      why,
      graceSeconds,
      preStop: graceSeconds > 0 && this.#facts.notes.get(instance.name)?.preStopBegun !== instance.id,
    };
    const operation = this.#facts.inFlight.get(stepKey(step));
    if (operation && hurry && isHurried(operation, graceSeconds, this.#now)) this.#steps.push(step);
    return this.do(step);
  }

  relevantFailure(step: Step): StepFailure | undefined {
    const failure = this.#facts.failures.get(stepKey(step));
    return failure && sameTarget(failure.step, step) ? failure : undefined;
  }

  cancel(key: string): void {
    if (this.#facts.inFlight.has(key)) this.#cancel.add(key);
  }

  lookAgain(at: number): void {
    this.#lookAgainAt = Math.min(at, this.#lookAgainAt ?? at);
  }

  wait(rank: Rank, wait: CurrentWait): void {
    this.#waits.push({ rank, wait });
  }

  finish(next: PodPlan['next'] = 'wait'): PodPlan {
    const waits = this.#waits
      .toSorted((a, b) => rank[a.rank] - rank[b.rank] || a.wait.since - b.wait.since)
      .map(({ wait }) => wait);
    const plan = { steps: this.#steps, cancel: [...this.#cancel], next, waits };
    return this.#lookAgainAt === undefined ? plan : { ...plan, lookAgainAt: this.#lookAgainAt };
  }

  #waitForStep(
    step: Step,
    { since, attempt }: Pick<Operation, 'since' | 'attempt'>,
    failure: StepFailure | undefined,
    manner: 'needed' | 'cleaning',
    nextTry?: number,
  ): void {
    const key = stepKey(step);
    if (this.#told.has(key) || (manner === 'cleaning' && !failure)) return;
    this.#told.add(key);
    this.wait(manner === 'cleaning' ? 'cleaning' : failure ? 'failing' : 'running', {
      step: step.kind,
      object: objectOf(step),
      since,
      attempt,
      ...('container' in step && { container: step.container }),
      ...(failure && { lastError: { reason: failure.reason, message: failure.message } }),
      ...(nextTry !== undefined && { nextTry }),
    });
  }
}

/** Rounding must not make every pass issue the kill anew. */
const hurryMs = 1000;

function isHurried({ step, since }: Operation, graceSeconds: number, now: number): boolean {
  if (step.kind !== 'kill-container' || graceSeconds >= step.graceSeconds) return false;
  return now + graceSeconds * 1000 < since + step.graceSeconds * 1000 - hurryMs;
}

function objectOf(step: Step): string {
  switch (step.kind) {
    case 'prepare-pod':
    case 'release-pod':
      return 'pod';
    case 'mount-volumes':
    case 'unmount-volumes':
      return 'volumes';
    case 'create-sandbox':
      return 'sandbox';
    case 'resize-pod':
      return 'resources';
    case 'pin-containers':
      return 'CPUs';
    case 'stop-sandbox':
    case 'remove-sandbox':
      return `sandbox ${step.sandboxId.slice(0, 12)}`;
    case 'ensure-image':
      return `image ${step.image}`;
    case 'start-container':
    case 'pre-stop':
    case 'kill-container':
    case 'remove-container':
      return `container ${step.container}`;
  }
}
