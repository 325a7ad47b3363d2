import type { Clock } from '../../../base/clock.js';
import type { Logger } from '../../../base/log.js';
import { podUidOf, type Pod, type PodUid, type ResourceRequirements } from '../../api/index.js';
import { PodAmounts } from '../../admission/pod-amounts.js';
import { judgeResize, type ResizeNode, type ResizeVerdict } from './judge-resize.js';
import { orderResizes } from './order-resizes.js';
import { hasResources, resourcesOf, withResources, type PodResources } from './pod-resources.js';
import { requestedChanges, type ResizeCounts, type RetryTrigger } from './resize-counts.js';
import { resizeMessage, type ResizeEvent } from './resize-events.js';
import type { ResourceRecord } from './resource-record.js';

export interface PodResizesDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** What each pod was promised, and what it was given last. */
  readonly allocated: ResourceRecord;
  readonly actuated: ResourceRecord;
  readonly counts: ResizeCounts;
  node(): ResizeNode;
  /** Pods that hold resources of the node, with what they were promised. */
  holding(): readonly Pod[];
  /** False for a pod that was told to end. */
  isLiving(uid: PodUid): boolean;
  /** Takes the full set of pods with what they were promised in place of what they ask for. */
  apply(pods: readonly Pod[], synced: boolean): void;
  /** The pod's promise or the reason it has none is another. */
  changed(uid: PodUid): void;
  /** For the event. */
  tell(pod: Pod, event: ResizeEvent): void;
}

export type RefusedResize = Exclude<ResizeVerdict, { kind: 'fits' }>;

interface Waiting {
  readonly from: Pod;
  readonly to: Pod;
  readonly since: number;
  readonly verdict: RefusedResize | undefined;
  /** Something that the pod asked for meanwhile had to wait already. */
  readonly deferredBefore: boolean;
}

/**
 * Stands between the sources of pods and those who run them: a pod that runs keeps the resources it was promised until the node can
 * give it what its spec asks for now. What cannot be given yet is tried again whenever another pod gave something back.
 */
export class PodResizes {
  readonly #deps: PodResizesDeps;
  readonly #amounts = new PodAmounts();
  readonly #waiting = new Map<PodUid, Waiting>();
  /** By the pod as its source has it: the same object must come out of the same object. */
  readonly #shown = new Map<PodUid, { readonly asked: Pod; readonly promise: PodResources; readonly pod: Pod }>();
  #last: { readonly pods: readonly Pod[]; readonly synced: boolean } = { pods: [], synced: false };
  #retryPlanned = false;

  constructor(deps: PodResizesDeps) {
    this.#deps = deps;
  }

  /** The newest full set of all sources. */
  incoming(pods: readonly Pod[], synced: boolean): void {
    const fewer = this.#countRequests(pods);
    this.#last = { pods, synced };
    if (synced) this.#forgetAllBut(pods);
    this.#compare(pods);
    // First everybody as he was promised, so that those who grow are measured against all.
    this.#apply();
    if (synced && this.#waiting.size > 0) this.retry(fewer ? 'pods_removed' : 'pod_updated');
  }

  /** A pod was taken: what it asks for is promised to it. */
  admitted(pod: Pod): void {
    const uid = podUidOf(pod);
    const before = this.#deps.allocated.of(uid);
    if (!before || !hasResources(pod, before)) this.#deps.allocated.set(uid, resourcesOf(pod));
  }

  /** Why the pod does not have what its spec asks for. */
  refusal(uid: PodUid): RefusedResize | undefined {
    return this.#waiting.get(uid)?.verdict;
  }

  /** What the pod's containers were given last. */
  given(uid: PodUid): PodResources | undefined {
    return this.#deps.actuated.of(uid);
  }

  /** Noted before a container gets them; what replaces something else must be `saved` first. */
  give(uid: PodUid, container: string, resources: ResourceRequirements): void {
    this.#deps.actuated.setContainer(uid, container, resources);
  }

  giveToPod(pod: Pod): void {
    const before = this.#deps.actuated.of(podUidOf(pod));
    if (before && before.pod !== pod.spec?.resources)
      this.#deps.actuated.set(podUidOf(pod), { ...before, pod: pod.spec?.resources });
  }

  /** Resolves when what was promised and given so far would be known to the next agent. */
  async saved(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#deps.allocated.saved(signal), this.#deps.actuated.saved(signal)]);
  }

  /** Nothing of the pod is left on the node. */
  released(uid: PodUid): void {
    this.#deps.actuated.remove(uid);
  }

  /** Some pod may have given something back: soon, and once for all that happen together. */
  retrySoon(trigger: RetryTrigger): void {
    if (this.#waiting.size === 0 || this.#retryPlanned || !this.#last.synced) return;
    this.#retryPlanned = true;
    setImmediate(() => {
      this.#retryPlanned = false;
      this.retry(trigger);
    });
  }

  /** Tries everything that waits. */
  retry(trigger: RetryTrigger): void {
    let granted = false;
    for (const waiting of orderResizes([...this.#waiting.values()])) {
      if (!this.#try(waiting)) continue;
      if (hadToWait(waiting)) this.#deps.counts.grantedLate(trigger);
      granted = true;
    }
    if (granted) this.#apply();
  }

  /** Against what the same pods asked for before; true when one of those is gone. */
  #countRequests(pods: readonly Pod[]): boolean {
    const before = new Map(this.#last.pods.map((pod) => [podUidOf(pod), pod]));
    for (const pod of pods) {
      const old = before.get(podUidOf(pod));
      before.delete(podUidOf(pod));
      if (old) for (const change of requestedChanges(old, pod)) this.#deps.counts.asked(change);
    }
    return before.size > 0;
  }

  #try(waiting: Waiting): boolean {
    const { allocated, log } = this.#deps;
    const { from, to } = waiting;
    const uid = podUidOf(to);
    const holders = this.#deps.holding();
    // One that is not taken, ends or is over has nothing to be resized.
    if (!this.#deps.isLiving(uid) || !holders.some((pod) => podUidOf(pod) === uid)) return false;
    const others = holders.filter((pod) => podUidOf(pod) !== uid).map((pod) => this.#promised(pod));
    const verdict = judgeResize(from, to, others, this.#deps.node(), this.#amounts);
    if (verdict.kind === 'fits') {
      allocated.set(uid, resourcesOf(to));
      this.#waiting.delete(uid);
      log.info({ podUid: uid }, 'a pod is resized');
      this.#deps.tell(to, { type: 'Normal', reason: 'ResizeStarted', message: resizeMessage('started', to) });
      this.#deps.changed(uid);
      return true;
    }
    const before = waiting.verdict;
    if (before?.kind === verdict.kind && before.message === verdict.message) return false;
    this.#waiting.set(uid, { ...waiting, verdict });
    log.info({ podUid: uid, verdict: verdict.kind, reason: verdict.message }, 'a pod cannot be resized now');
    if (verdict.kind === 'Infeasible' && verdict.detail !== undefined) this.#deps.counts.refused(verdict.detail);
    if (before?.kind !== verdict.kind) this.#tellRefusal(to, verdict);
    this.#deps.changed(uid);
    return false;
  }

  #tellRefusal(pod: Pod, { kind, message }: RefusedResize): void {
    const reason = kind === 'Deferred' ? 'ResizeDeferred' : 'ResizeInfeasible';
    this.#deps.tell(pod, { type: 'Warning', reason, message: resizeMessage(kind, pod, message) });
  }

  /** A resize granted a moment ago counts before the pod is shown with it. */
  #promised(pod: Pod): Pod {
    const promise = this.#deps.allocated.of(podUidOf(pod));
    return promise ? withResources(pod, promise) : pod;
  }

  #compare(pods: readonly Pod[]): void {
    for (const pod of pods) {
      const uid = podUidOf(pod);
      const promise = this.#deps.allocated.of(uid);
      const before = this.#waiting.get(uid);
      if (!promise || hasResources(pod, promise)) {
        if (this.#waiting.delete(uid)) this.#deps.changed(uid);
        continue;
      }
      if (before?.to === pod) continue;
      const since = before?.since ?? this.#deps.clock.now();
      const deferredBefore = before !== undefined && hadToWait(before);
      this.#waiting.set(uid, { from: withResources(pod, promise), to: pod, since, verdict: undefined, deferredBefore });
      this.#deps.allocated.hurry();
    }
  }

  #apply(): void {
    const { pods, synced } = this.#last;
    this.#deps.apply(
      pods.map((pod) => this.#shownOf(pod)),
      synced,
    );
  }

  #shownOf(asked: Pod): Pod {
    const uid = podUidOf(asked);
    const promise = this.#deps.allocated.of(uid);
    if (!promise) return asked;
    const known = this.#shown.get(uid);
    if (known?.asked === asked && known.promise === promise) return known.pod;
    const pod = withResources(asked, promise);
    if (pod === asked) this.#shown.delete(uid);
    else this.#shown.set(uid, { asked, promise, pod });
    return pod;
  }

  #forgetAllBut(pods: readonly Pod[]): void {
    const named = new Set(pods.map(podUidOf));
    for (const uid of this.#waiting.keys()) if (!named.has(uid)) this.#waiting.delete(uid);
    for (const uid of this.#shown.keys()) if (!named.has(uid)) this.#shown.delete(uid);
    // A pod that still ends runs on what it was given.
    for (const pod of this.#deps.holding()) named.add(podUidOf(pod));
    this.#deps.allocated.keepOnly(named);
    this.#deps.actuated.keepOnly(named);
  }
}

const hadToWait = ({ verdict, deferredBefore }: Waiting): boolean => deferredBefore || verdict?.kind === 'Deferred';
