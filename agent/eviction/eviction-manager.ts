import { toRfc3339, type Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { ObjectReference, Pod, PodUid } from '../api/index.js';
import { isCriticalPod, podUidOf } from '../api/index.js';
import type { EventRecorder } from '../events/event-recorder.js';
import { podReference } from '../events/references.js';
import type { Termination } from '../podloop/pod-facts.js';
import type { FilesystemLayout, PodFilesystems } from '../stats/index.js';
import {
  decideEviction,
  freshMemory,
  thresholdKey,
  type CrossedThreshold,
  type EvictionDecision,
  type EvictionMemory,
  type NodeReclaim,
  type Starvation,
} from './decide-eviction.js';
import type { EvictionPod } from './eviction-pod.js';
import { evictionWords, type EvictionWords, signalThresholdText } from './eviction-words.js';
import { hasStorageLimits, localStorageProblem } from './local-storage.js';
import { nextLookMs, type TimedLook } from './next-look.js';
import { signalFacts, type Observations, type PressureCondition } from './signals.js';
import type { Threshold } from './thresholds.js';

export interface EvictionOptions {
  readonly thresholds: readonly Threshold[];
  /** evictionMaxPodGracePeriod. */
  readonly maxGraceSeconds: number;
  readonly transitionMs: number;
  readonly everyMs?: number | undefined;
}

export interface NodeLook {
  readonly observations: Observations;
  readonly layout: FilesystemLayout;
}

export interface EvictionDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly node: ObjectReference;
  /** The node's signals, measured now; the same cost however many pods there are. */
  look(signal: AbortSignal): Promise<NodeLook>;
  /** Pods that hold resources, not those that end already. */
  activePods(): readonly Pod[];
  /** Their usage, measured now; what they have on disk only when that counts. Called only when somebody may have to go. */
  measure(pods: readonly Pod[], disk: boolean, signal: AbortSignal): Promise<readonly EvictionPod[]>;
  /** What the pod last was counted to have on disk. */
  filesystemsOf(uid: PodUid): PodFilesystems;
  /** Resolve with whether there was anything to remove. */
  readonly reclaim: Readonly<Record<NodeReclaim, (signal: AbortSignal) => Promise<boolean>>>;
  terminate(uid: PodUid, termination: Termination): void;
  /** Nothing of the pod runs or is mounted any more, and what is left of it may be removed. */
  isCleanedUp(uid: PodUid): boolean;
  /** For metrics; `statsAgeMs` is how old what was measured is by now. */
  evicted(signal: string, statsAgeMs: number): void;
  conditionsChanged(conditions: ReadonlySet<PressureCondition>): void;
}

const usualEveryMs = 10_000;
const hardGraceSeconds = 1;
const cleanUpMs = 30_000;
const cleanUpPollMs = 1000;
/** Deleting that frees nothing more for this many looks is over. */
const idleLooks = 3;

/** Watches what the node runs out of; gives back what is the node's own first, then lets one pod go at a time. */
export class EvictionManager {
  readonly #options: EvictionOptions;
  readonly #deps: EvictionDeps;
  #memory: EvictionMemory = freshMemory;
  #conditions: ReadonlySet<PressureCondition> = new Set();
  #nextPause = usualEveryMs;
  #lastLook: TimedLook | undefined;
  /** The shortage of which it was said that no pod can be evicted: it may last, and is looked at again and again. */
  #helpless: string | undefined;

  constructor(options: EvictionOptions, deps: EvictionDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** What the node is under now: for its conditions, and for admission. */
  get conditions(): ReadonlySet<PressureCondition> {
    return this.#conditions;
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    let pause = 0;
    while (!signal.aborted) {
      try {
        await clock.sleep(pause, signal);
        const evicted = await this.check(signal);
        if (evicted.length > 0) await this.#waitForCleanUp(evicted, signal);
        pause = evicted.length > 0 ? 0 : this.#nextPause;
      } catch (err) {
        if (signal.aborted) return;
        pause = this.#everyMs;
        log.warn({ err: errorText(err), retryInMs: pause }, 'node pressure could not be checked');
      }
    }
  }

  /** One look and what follows from it. Resolves with the pods told to end. */
  async check(signal: AbortSignal): Promise<readonly PodUid[]> {
    const look = await this.#deps.look(signal);
    const decision = this.#decide(look, []);
    this.#settle(decision, look);
    const overLimit = this.#evictOverLimits(look.layout);
    if (overLimit.length > 0) return overLimit;
    if (!decision.starvation) {
      this.#helpless = undefined;
      return [];
    }
    return await this.#relieve(decision.starvation, signal);
  }

  get #everyMs(): number {
    return this.#options.everyMs ?? usualEveryMs;
  }

  #decide(look: NodeLook, pods: readonly EvictionPod[]): EvictionDecision {
    const { thresholds, transitionMs } = this.#options;
    const now = this.#deps.clock.now();
    return decideEviction({ ...look, thresholds, pods, memory: this.#memory, transitionMs, now });
  }

  #settle(decision: EvictionDecision, look: NodeLook): void {
    const { clock, events, node, log } = this.#deps;
    for (const crossed of decision.crossed) {
      if (this.#memory.crossedSince.has(thresholdKey(crossed.threshold))) continue;
      log.warn(
        { signal: crossed.threshold.signal, available: crossed.observed.available, wanted: crossed.wanted },
        'eviction threshold crossed',
      );
    }
    this.#memory = decision.memory;
    if (decision.starvation)
      events.record(
        node,
        'Warning',
        'EvictionThresholdMet',
        `Attempting to reclaim ${signalFacts[decision.starvation.crossed.threshold.signal].resource}`,
      );
    const timed = { at: clock.now(), observations: look.observations };
    this.#nextPause = nextLookMs(this.#options.thresholds, timed, this.#lastLook, this.#everyMs);
    this.#lastLook = timed;
    if (!sameSet(decision.conditions, this.#conditions)) {
      this.#conditions = decision.conditions;
      this.#deps.conditionsChanged(decision.conditions);
    }
  }

  /** Pods that use more local storage than their own limits, whatever the node has left. */
  #evictOverLimits(layout: FilesystemLayout): PodUid[] {
    return this.#deps.activePods().flatMap((pod) => {
      if (!hasStorageLimits(pod) || isCriticalPod(pod)) return [];
      const problem = localStorageProblem(pod, this.#deps.filesystemsOf(podUidOf(pod)), layout);
      if (problem === undefined) return [];
      this.#evict(pod, { message: problem.message }, hardGraceSeconds, false);
      this.#deps.evicted(problem.what, 0);
      return [podUidOf(pod)];
    });
  }

  async #relieve(starvation: Starvation, signal: AbortSignal): Promise<readonly PodUid[]> {
    if (await this.#reclaim(starvation, signal)) return [];
    const active = this.#deps.activePods();
    const lookedAt = this.#deps.clock.now();
    const look = await this.#deps.look(signal);
    const disk = signalFacts[starvation.crossed.threshold.signal].condition === 'DiskPressure';
    const again = this.#decide(look, await this.#deps.measure(active, disk, signal)).starvation;
    if (!again) return [];
    const { victim, crossed } = again;
    const pod = active.find((candidate) => podUidOf(candidate) === victim?.pod.uid);
    if (!victim || !pod) {
      const short = crossed.threshold.signal;
      if (this.#helpless !== short) this.#deps.log.warn({ signal: short }, 'the node is short and has no pod to evict');
      this.#helpless = short;
      return [];
    }
    this.#helpless = undefined;
    const soft = crossed.threshold.graceMs > 0;
    const grace = soft ? Math.min(this.#options.maxGraceSeconds, victim.pod.graceSeconds) : hardGraceSeconds;
    const words = evictionWords(victim.pod, crossed, look.layout);
    this.#deps.log.warn(
      { podUid: victim.pod.uid, because: signalThresholdText(crossed), usage: victim.usage, request: victim.request },
      'pod is evicted',
    );
    this.#evict(pod, words, grace, true);
    this.#deps.evicted(crossed.threshold.signal, this.#deps.clock.now() - lookedAt);
    return [victim.pod.uid];
  }

  /** True when what the node itself gave back is enough. */
  async #reclaim({ reclaim, crossed }: Starvation, signal: AbortSignal): Promise<boolean> {
    if (reclaim.length === 0) return false;
    let removed = false;
    for (const kind of reclaim) {
      try {
        removed = (await this.#deps.reclaim[kind](signal)) || removed;
      } catch (err) {
        signal.throwIfAborted();
        this.#deps.log.warn({ what: kind, err: errorText(err) }, 'the node could not give all of it back');
      }
    }
    return await this.#isRelieved(crossed, removed, signal);
  }

  /**
   * Runtimes delete behind the back of their callers: a pod must not go for the want of what is being given back. Waits while there is
   * more from one look to the next.
   */
  async #isRelieved(
    { threshold, observed }: CrossedThreshold,
    deleting: boolean,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { clock } = this.#deps;
    const deadline = clock.now() + cleanUpMs;
    let { available } = observed;
    let idle = deleting ? 0 : idleLooks;
    while (true) {
      const look = await this.#deps.look(signal);
      if (this.#decide(look, []).crossed.length === 0) return true;
      const now = look.observations.get(threshold.signal)?.available ?? 0;
      idle = now > available ? 0 : idle + 1;
      if (idle > idleLooks || clock.now() >= deadline) return false;
      available = now;
      await clock.sleep(cleanUpPollMs, signal);
    }
  }

  #evict(
    pod: Pod,
    { message, annotations }: Pick<EvictionWords, 'message'> & Partial<EvictionWords>,
    graceSeconds: number,
    disruption: boolean,
  ): void {
    const { clock, events } = this.#deps;
    const now = clock.now();
    events.record(podReference(pod), 'Warning', 'Evicted', message, annotations);
    this.#deps.terminate(podUidOf(pod), {
      cause: 'evicted',
      since: now,
      graceSeconds: Math.max(graceSeconds, 0),
      status: {
        phase: 'Failed',
        reason: 'Evicted',
        message,
        condition: disruption
          ? {
              type: 'DisruptionTarget',
              status: 'True',
              reason: 'TerminationByKubelet',
              message,
              lastTransitionTime: toRfc3339(now),
            }
          : undefined,
      },
    });
  }

  /** The next look would see the same shortage while what was evicted still runs. */
  async #waitForCleanUp(uids: readonly PodUid[], signal: AbortSignal): Promise<void> {
    const deadline = this.#deps.clock.now() + cleanUpMs;
    while (!uids.every((uid) => this.#deps.isCleanedUp(uid))) {
      if (this.#deps.clock.now() >= deadline) {
        this.#deps.log.warn({ podUids: uids, waitedMs: cleanUpMs }, 'evicted pods are not cleaned up yet');
        return;
      }
      await this.#deps.clock.sleep(cleanUpPollMs, signal);
    }
  }
}

const sameSet = <T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean =>
  a.size === b.size && [...a].every((each) => b.has(each));
