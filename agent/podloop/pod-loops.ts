import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { PodStatus, PodUid } from '../api/index.js';
import type { DesiredPod, PodFacts, RuntimeFacts } from './pod-facts.js';
import { PodMemory } from './pod-memory.js';
import { Operations, type FailureWords } from './operations.js';
import { stepNotes } from './step-notes.js';
import { runPodLoop, type PassResult } from './pod-loop.js';
import type { PodPlan, Step, StepOutcome } from './steps.js';
import { Wakeups } from './wakeups.js';

/** What one pod's loop and its executors share. */
export interface LivePod {
  readonly uid: PodUid;
  readonly memory: PodMemory;
  readonly operations: Operations;
  desired(): DesiredPod | undefined;
  seen(): RuntimeFacts;
}

export interface PodLoopsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  desired(uid: PodUid): DesiredPod | undefined;
  facts(pod: LivePod, signal: AbortSignal): Promise<PodFacts>;
  plan(desired: DesiredPod | undefined, facts: PodFacts, now: number): PodPlan;
  status(desired: DesiredPod | undefined, facts: PodFacts, plan: PodPlan, now: number): PodStatus | undefined;
  execute(step: Step, pod: LivePod, signal: AbortSignal): Promise<void>;
  describe(step: Step, err: unknown): FailureWords;
  retryAfter(step: Step, attempt: number, reason: string): number;
  /** A step ended; what it may have changed must be read again. */
  stepEnded(pod: LivePod, step: Step, outcome: StepOutcome): void;
  reported(uid: PodUid, result: PassResult): void;
  /** The loop ended: nothing of the pod is left but what is cleared away here. Must not fail. */
  gone(uid: PodUid): Promise<void>;
}

interface Running {
  readonly pod: LivePod;
  last: PassResult | undefined;
  readonly done: Promise<void>;
}

/** One loop per pod UID, started by the first wake-up, ended when nothing of the pod is left. */
export class PodLoops implements AsyncDisposable {
  readonly #deps: PodLoopsDeps;
  readonly #stop = new AbortController();
  readonly #wakeups = new Wakeups<PodUid>(this.#stop.signal);
  readonly #running = new Map<PodUid, Running>();

  constructor(deps: PodLoopsDeps) {
    this.#deps = deps;
  }

  /** Something about the pod may have changed. Starts its loop when there is none. */
  wake(uid: PodUid): void {
    if (this.#stop.signal.aborted) return;
    if (!this.#running.has(uid)) this.#start(uid);
    else this.#wakeups.wake(uid);
  }

  /** Wakes a pod only when it has a loop: events of pods we do not know are not ours to act on. */
  wakeKnown(uid: PodUid): void {
    if (this.#running.has(uid)) this.#wakeups.wake(uid);
  }

  /** As `wakeKnown`, and steps of these kinds that failed are tried now. */
  retryKinds(uid: PodUid, kinds: ReadonlySet<Step['kind']>): void {
    this.#running.get(uid)?.pod.operations.retryNow(kinds);
    this.wakeKnown(uid);
  }

  wakeAll(): void {
    for (const uid of this.#running.keys()) this.#wakeups.wake(uid);
  }

  /** A cause of failures went away: what waits for its next try is tried now. */
  retryNow(uid: PodUid): boolean {
    const running = this.#running.get(uid);
    if (!running) return false;
    running.pod.operations.retryNow();
    running.pod.memory.forgetBackoff();
    this.#wakeups.wake(uid);
    return true;
  }

  /** What the last pass of each pod concluded. */
  last(uid: PodUid): PassResult | undefined {
    return this.#running.get(uid)?.last;
  }

  /** Id of the running instance of a container, as the last pass saw it. */
  runningId(uid: PodUid, container: string): string | undefined {
    const seen = this.#running.get(uid)?.pod.seen().containers;
    return seen?.find(({ name, state }) => name === container && state === 'running')?.id;
  }

  live(uid: PodUid): LivePod | undefined {
    return this.#running.get(uid)?.pod;
  }

  /** Resolves when the pod has no loop: at once when it has none. */
  async ended(uid: PodUid): Promise<void> {
    await this.#running.get(uid)?.done;
  }

  uids(): readonly PodUid[] {
    return [...this.#running.keys()];
  }

  /** Ends all loops and the operations they run; containers keep running. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('the agent stops', 'AbortError'));
    await Promise.all([...this.#running.values()].map((running) => running.done));
  }

  #start(uid: PodUid): void {
    const { signal } = this.#stop;
    let seen: RuntimeFacts = { sandboxes: [], containers: [] };
    const operations = new Operations(
      {
        clock: this.#deps.clock,
        log: this.#deps.log.child({ podUid: uid }),
        execute: (step, stepSignal) => this.#deps.execute(step, pod, stepSignal),
        describe: (step, err) => this.#deps.describe(step, err),
        retryAfter: (step, attempt, reason) => this.#deps.retryAfter(step, attempt, reason),
        ended: (step, outcome) => {
          this.#deps.stepEnded(pod, step, outcome);
          this.#wakeups.wake(uid);
        },
      },
      signal,
    );
    const pod: LivePod = {
      uid,
      memory: new PodMemory(),
      operations,
      desired: () => this.#deps.desired(uid),
      seen: () => seen,
    };
    const loop = runPodLoop(
      uid,
      {
        clock: this.#deps.clock,
        log: this.#deps.log,
        operations,
        wakeups: this.#wakeups,
        desired: () => this.#deps.desired(uid),
        facts: async (passSignal) => {
          const facts = await this.#deps.facts(pod, passSignal);
          seen = facts.runtime;
          return facts;
        },
        plan: (desired, facts, now) => this.#deps.plan(desired, facts, now),
        status: (desired, facts, plan, now) => this.#deps.status(desired, facts, plan, now),
        starting: (step) => {
          const note = stepNotes(step);
          if (note) pod.memory.note(note.container, note.change);
        },
        report: (result) => {
          running.last = result;
          this.#deps.reported(uid, result);
        },
      },
      signal,
    );
    const running: Running = { pod, last: undefined, done: this.#supervise(uid, loop, operations) };
    this.#running.set(uid, running);
  }

  async #supervise(uid: PodUid, loop: Promise<void>, operations: Operations): Promise<void> {
    let finished = false;
    try {
      await loop;
      finished = true;
    } catch (err) {
      // A loop only throws when it is told to stop.
      if (!this.#stop.signal.aborted)
        this.#deps.log.error({ podUid: uid, err: errorText(err) }, 'pod loop ended by a fault');
    }
    await operations[Symbol.asyncDispose]();
    this.#running.delete(uid);
    this.#wakeups.forget(uid);
    if (finished) await this.#deps.gone(uid);
  }
}
