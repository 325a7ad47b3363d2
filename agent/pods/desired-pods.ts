import { isTerminalPhase, podFullName, podUidOf, type Pod, type PodUid } from '../api/index.js';
import type { Clock } from '../../base/clock.js';
import { staysOver } from '../podloop/ending.js';
import type { DesiredPod, Termination } from '../podloop/pod-facts.js';

export type Admission =
  | { readonly admitted: true; readonly pod: Pod }
  | { readonly admitted: false; readonly reason: string; readonly message: string };

export interface DesiredPodsDeps {
  readonly clock: Clock;
  /** Pure decision over the pods already active. */
  admit(pod: Pod, active: readonly Pod[]): Admission;
  isStatic(pod: Pod): boolean;
  /** The pod's loop must look again; starts one when there is none. */
  wake(uid: PodUid): void;
  /** For the event and the metric of a rejection. */
  rejected(pod: Pod, reason: string, message: string): void;
}

interface Entry {
  desired: DesiredPod;
  /** The sources still name it. */
  wanted: boolean;
  /** Named again while it ends: it starts anew once nothing of it is left. */
  again?: Pod | undefined;
}

/**
 * The pods this node should run, by UID, merged from the sources, with the one-way decision to end each. Two pods of one full
 * name never run at once: the second waits until nothing of the first is left.
 */
export class DesiredPods {
  readonly #deps: DesiredPodsDeps;
  readonly #entries = new Map<PodUid, Entry>();
  /** Pods whose name is still taken by one that ends; in the order they came. */
  readonly #waiting = new Map<PodUid, Pod>();

  constructor(deps: DesiredPodsDeps) {
    this.#deps = deps;
  }

  get(uid: PodUid): DesiredPod | undefined {
    return this.#entries.get(uid)?.desired;
  }

  all(): readonly DesiredPod[] {
    return [...this.#entries.values()].map((entry) => entry.desired);
  }

  /** Pods that hold resources: those not rejected, not told to end and not over. */
  active(): readonly Pod[] {
    return this.all()
      .filter((desired) => desired.termination === undefined && !isOver(desired))
      .map((desired) => desired.pod);
  }

  /** The newest full set of all sources. Nothing is ended before every source has delivered once (`synced`). */
  apply(pods: readonly Pod[], synced: boolean): void {
    const named = new Set<PodUid>();
    for (const pod of pods.toSorted(byCreation)) {
      const uid = podUidOf(pod);
      named.add(uid);
      const entry = this.#entries.get(uid);
      if (entry) this.#update(entry, pod);
      else this.#add(pod);
    }
    if (!synced) return;
    for (const uid of this.#waiting.keys()) if (!named.has(uid)) this.#waiting.delete(uid);
    for (const [uid, entry] of this.#entries) {
      if (named.has(uid)) continue;
      entry.again = undefined;
      if (entry.wanted) {
        entry.wanted = false;
        entry.desired = { ...entry.desired, removed: true };
        this.#deps.wake(uid);
      }
      this.#end(uid, entry, {
        cause: 'removed',
        since: this.#deps.clock.now(),
        graceSeconds: graceOf(entry.desired.pod),
      });
    }
  }

  /** Ends a pod for a reason of the node's own: eviction, preemption, shutdown. */
  terminate(uid: PodUid, termination: Termination): void {
    const entry = this.#entries.get(uid);
    if (entry) this.#end(uid, entry, termination);
  }

  /** The node found after admission that it cannot run the pod. */
  reject(uid: PodUid, reason: string, message: string): void {
    const entry = this.#entries.get(uid);
    if (!entry || entry.desired.termination) return;
    this.#reject(entry, reason, message);
    this.#deps.wake(uid);
  }

  /** Nothing of the pod is left. One that the sources still name stays known, so that it is not started again. */
  gone(uid: PodUid): void {
    const entry = this.#entries.get(uid);
    if (!entry) return;
    if (!entry.wanted || entry.desired.pod.metadata?.deletionTimestamp !== undefined) this.#entries.delete(uid);
    if (entry.again) this.#add(entry.again);
    this.#admitWaiting();
  }

  #add(pod: Pod): void {
    if (this.#nameTaken(pod)) {
      this.#waiting.set(podUidOf(pod), pod);
      return;
    }
    this.#waiting.delete(podUidOf(pod));
    const asked: DesiredPod = {
      uid: podUidOf(pod),
      pod,
      static: this.#deps.isStatic(pod),
      previousStatus: pod.status,
    };
    // What an earlier agent refused, or saw end, asks for nothing any more.
    const admission: Admission = isOver(asked) ? { admitted: true, pod } : this.#deps.admit(pod, this.active());
    const desired = admission.admitted ? { ...asked, pod: admission.pod } : asked;
    const entry: Entry = { desired, wanted: true };
    this.#entries.set(desired.uid, entry);
    if (admission.admitted) this.#noteDeletion(entry, pod);
    else this.#reject(entry, admission.reason, admission.message);
    this.#deps.wake(desired.uid);
  }

  #reject(entry: Entry, reason: string, message: string): void {
    entry.desired = {
      ...entry.desired,
      termination: {
        cause: 'rejected',
        since: this.#deps.clock.now(),
        graceSeconds: graceOf(entry.desired.pod),
        status: { phase: 'Failed', reason, message: `Pod was rejected: ${message}` },
      },
    };
    this.#deps.rejected(entry.desired.pod, reason, message);
  }

  #update(entry: Entry, pod: Pod): void {
    if (!entry.wanted) {
      entry.again = pod;
      return;
    }
    if (pod === entry.desired.pod) return;
    entry.desired = { ...entry.desired, pod, previousStatus: pod.status ?? entry.desired.previousStatus };
    this.#noteDeletion(entry, pod);
    this.#deps.wake(entry.desired.uid);
  }

  #noteDeletion(entry: Entry, pod: Pod): void {
    const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata ?? {};
    if (deletionTimestamp === undefined) return;
    this.#end(entry.desired.uid, entry, {
      cause: 'deleted',
      since: this.#deps.clock.now(),
      graceSeconds: deletionGracePeriodSeconds ?? graceOf(pod),
    });
  }

  /** One-way: the first cause stays, later ones may only take grace away. */
  #end(uid: PodUid, entry: Entry, termination: Termination): void {
    const before = entry.desired.termination;
    if (before && before.graceSeconds <= termination.graceSeconds) return;
    entry.desired = {
      ...entry.desired,
      termination: before ? { ...before, graceSeconds: termination.graceSeconds } : termination,
    };
    this.#deps.wake(uid);
  }

  #nameTaken(pod: Pod): boolean {
    const name = podFullName(pod);
    return this.all().some((desired) => desired.uid !== podUidOf(pod) && podFullName(desired.pod) === name);
  }

  #admitWaiting(): void {
    // A copy: a pod that must wait on goes back into the map.
    const waiting = Array.from(this.#waiting.values());
    for (const pod of waiting) this.#add(pod);
  }
}

const isOver = (desired: DesiredPod): boolean =>
  staysOver(desired) && isTerminalPhase((desired.pod.status ?? desired.previousStatus)?.phase);

const byCreation = (a: Pod, b: Pod): number =>
  (a.metadata?.creationTimestamp ?? '').localeCompare(b.metadata?.creationTimestamp ?? '');

function graceOf(pod: Pod): number {
  return pod.metadata?.deletionGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? 30;
}
