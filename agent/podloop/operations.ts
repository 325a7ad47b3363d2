import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { linkSignal, type LinkedSignal } from '../../base/signals.js';
import { stepKey, type Operation, type Step, type StepFailure, type StepOutcome } from './steps.js';

/** What an executor's failure looks like to the pod: a reason in Kubernetes' words and the cause in the plugin's. */
export interface FailureWords {
  readonly reason: string;
  readonly message: string;
}

export interface OperationsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  execute(step: Step, signal: AbortSignal): Promise<void>;
  /** Reason and message for the status, from whatever an executor threw. */
  describe(step: Step, err: unknown): FailureWords;
  /** Milliseconds until a failed step may be tried again. */
  retryAfter(step: Step, attempt: number, reason: string): number;
  /** A step ended, one way or the other. */
  ended(step: Step, outcome: StepOutcome): void;
}

interface Running extends Operation {
  readonly link: LinkedSignal;
  readonly done: Promise<void>;
}

/** So many successes of one step, each so soon after the last, are no coincidence. */
const quickRepeat = { most: 10, withinMs: 1000 };

/**
 * The steps of one pod that are under way, and the failures that have not been made good. A pass starts steps here and never
 * waits for one; each end wakes the loop.
 */
export class Operations implements AsyncDisposable {
  readonly #deps: OperationsDeps;
  readonly #parent: AbortSignal;
  readonly #running = new Map<string, Running>();
  readonly #failures = new Map<string, StepFailure>();
  /** Successes of a step in quick succession: it says it did something, and the next pass finds it undone. */
  readonly #repeats = new Map<string, { count: number; at: number }>();

  constructor(deps: OperationsDeps, parent: AbortSignal) {
    this.#deps = deps;
    this.#parent = parent;
  }

  get inFlight(): ReadonlyMap<string, Operation> {
    return this.#running;
  }

  get failures(): ReadonlyMap<string, StepFailure> {
    return this.#failures;
  }

  /** Starts a step unless it is under way already; a kill is passed on beside a running one, since it may carry less grace. */
  start(step: Step): void {
    const key = stepKey(step);
    const running = this.#running.get(key);
    if (running && step.kind !== 'kill-container') return;
    if (running && sameStep(running.step, step)) return;
    const previous = this.#failures.get(key);
    const link = linkSignal(this.#parent);
    const since = previous?.since ?? this.#deps.clock.now();
    const attempt = (previous?.attempt ?? 0) + 1;
    const operation: Running = {
      step,
      since,
      attempt,
      link,
      done: this.#run(step, key, attempt, since, link, running?.done),
    };
    this.#running.set(key, operation);
  }

  /** Aborts operations whose purpose is gone; their end wakes the loop. */
  cancel(keys: readonly string[]): void {
    for (const key of keys) this.#running.get(key)?.link.abort(new DOMException('no longer wanted', 'AbortError'));
  }

  /** A cause of failure went away: what waits for its next try, of these kinds or of all, may try now. */
  retryNow(kinds?: ReadonlySet<Step['kind']>): void {
    const now = this.#deps.clock.now();
    for (const [key, failure] of this.#failures) {
      if (kinds && !kinds.has(failure.step.kind)) continue;
      this.#failures.set(key, { ...failure, nextTry: Math.min(failure.nextTry, now) });
    }
  }

  /** Failures of steps that no plan will name again. */
  forgetFailures(keep: (key: string) => boolean): void {
    for (const key of this.#failures.keys()) if (!keep(key)) this.#failures.delete(key);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [...this.#running.values()];
    for (const operation of all) operation.link.abort(new DOMException('the pod loop ends', 'AbortError'));
    await Promise.all(all.map((operation) => operation.done));
  }

  async #run(
    step: Step,
    key: string,
    attempt: number,
    since: number,
    link: LinkedSignal,
    before: Promise<void> | undefined,
  ): Promise<void> {
    // Let `start` put the operation into the map before it can end.
    await Promise.resolve();
    let outcome: StepOutcome = 'done';
    try {
      await this.#deps.execute(step, link.signal);
      await before;
      this.#checkRepeats(step, key);
      this.#failures.delete(key);
    } catch (err) {
      outcome = link.signal.aborted ? 'cancelled' : this.#failed(step, key, attempt, since, err);
    } finally {
      link[Symbol.dispose]();
    }
    if (this.#running.get(key)?.link === link) this.#running.delete(key);
    this.#deps.ended(step, outcome);
  }

  /** A step that succeeds over and over without an effect would keep the loop spinning: it is a failure like any other. */
  #checkRepeats(step: Step, key: string): void {
    const now = this.#deps.clock.now();
    const last = this.#repeats.get(key);
    const count = last && now - last.at < quickRepeat.withinMs ? last.count + 1 : 1;
    this.#repeats.set(key, { count, at: now });
    if (count > quickRepeat.most)
      throw new Error(`${step.kind}: succeeded ${count} times in a row and is still to be done`);
  }

  #failed(step: Step, key: string, attempt: number, since: number, err: unknown): StepFailure {
    const { clock, log } = this.#deps;
    const { reason, message } = this.#deps.describe(step, err);
    const retryInMs = this.#deps.retryAfter(step, attempt, reason);
    const failedAt = clock.now();
    const failure = { step, attempt, since, failedAt, nextTry: failedAt + retryInMs, reason, message };
    this.#failures.set(key, failure);
    log.warn({ step: key, attempt, reason, err: errorText(err), retryInMs }, 'step failed');
    return failure;
  }
}

function sameStep(a: Step, b: Step): boolean {
  return a.kind === 'kill-container' && b.kind === 'kill-container' && b.graceSeconds >= a.graceSeconds;
}
