import type { Clock } from '../../../base/clock.js';
import { isMirrorPod, podAnnotations, podUidOf, type Pod, type PodStatus, type PodUid } from '../../api/index.js';
import { FirstSeen } from '../../sources/first-seen.js';
import { same } from '../../status/same-status.js';
import type { PodSnapshot } from '../control-plane.js';

/** Conditions and fields of a status that others write and the node looks at. */
function foreignPart(status: PodStatus | undefined): unknown {
  const {
    conditions = [],
    nominatedNodeName,
    resourceClaimStatuses,
    extendedResourceClaimStatus,
    resize,
  } = status ?? {};
  const own =
    /^(Ready|Initialized|ContainersReady|PodScheduled|PodReadyToStartContainers|PodResize.*|AllContainersRestarting)$/;
  const others = conditions.filter(({ type }) => !own.test(type));
  return { others, nominatedNodeName, resourceClaimStatuses, extendedResourceClaimStatus, resize };
}

/** Without what changes with every write, the node's own included. */
function essence(pod: Pod): unknown {
  const { resourceVersion: _, managedFields: __, ...metadata } = pod.metadata ?? {};
  return { metadata, spec: pod.spec, foreign: foreignPart(pod.status) };
}

/**
 * The API server's pods of this node, its copies of static pods (mirror pods) apart. Tells listeners of changes that matter to
 * the node; what it wrote itself does not come back to it.
 */
export class PodCache {
  readonly #seen: FirstSeen;
  readonly #pods = new Map<PodUid, Pod>();
  readonly #mirrors = new Map<PodUid, Pod>();
  /** What was announced of pods that since changed in nothing the node looks at. */
  readonly #quiet = new Map<PodUid, Pod>();
  readonly #listeners = new Set<(snapshot: PodSnapshot) => void>();
  readonly #mirrorListeners = new Set<() => void>();
  #announced: PodSnapshot = { synced: false, pods: [] };
  #scheduled = false;
  #synced = false;

  constructor(clock: Clock) {
    this.#seen = new FirstSeen(() => clock.now());
  }

  get synced(): boolean {
    return this.#synced;
  }

  get(uid: PodUid): Pod | undefined {
    return this.#pods.get(uid) ?? this.#mirrors.get(uid);
  }

  named(namespace: string, name: string): Pod | undefined {
    const is = (pod: Pod): boolean => pod.metadata?.name === name && (pod.metadata.namespace ?? '') === namespace;
    return [...this.#pods.values()].find(is) ?? [...this.#mirrors.values()].find(is);
  }

  all(): readonly Pod[] {
    return [...this.#pods.values()];
  }

  mirrors(): readonly Pod[] {
    return [...this.#mirrors.values()];
  }

  /** Calls back with each new full set, and once at once. */
  subscribe(listener: (snapshot: PodSnapshot) => void): Disposable {
    this.#listeners.add(listener);
    queueMicrotask(() => {
      if (this.#listeners.has(listener)) listener(this.#announced);
    });
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  onMirrors(listener: () => void): Disposable {
    this.#mirrorListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#mirrorListeners.delete(listener) };
  }

  /** The last known pods, while the server cannot be asked: absence means nothing. */
  remember(pods: readonly Pod[]): void {
    if (this.#synced) return;
    for (const pod of pods) this.#pods.set(podUidOf(pod), this.#stamped(pod));
    this.#announce();
  }

  replace(pods: readonly Pod[]): void {
    const named = new Set(pods.map(podUidOf));
    for (const uid of [...this.#pods.keys()]) {
      if (named.has(uid)) continue;
      this.#pods.delete(uid);
      this.#quiet.delete(uid);
    }
    for (const uid of [...this.#mirrors.keys()]) if (!named.has(uid)) this.#mirrors.delete(uid);
    this.#seen.keepOnly(named);
    this.#synced = true;
    for (const pod of pods) this.#put(pod);
    this.#announce();
    this.#announceMirrors();
  }

  put(pod: Pod): void {
    const known = this.get(podUidOf(pod));
    // An event from before a write of our own, whose answer came first.
    if (known && isNewer(known, pod)) return;
    const changed = this.#put(pod);
    if (changed === 'pod') this.#announce();
    if (changed === 'mirror') this.#announceMirrors();
  }

  remove(pod: Pod): void {
    const uid = podUidOf(pod);
    if (this.#mirrors.delete(uid)) this.#announceMirrors();
    this.#quiet.delete(uid);
    if (this.#pods.delete(uid)) this.#announce();
  }

  /** What a write answered: newer than the cache, older than an event that already came. */
  written(pod: Pod): void {
    const known = this.get(podUidOf(pod));
    if (known && isNewer(pod, known)) this.#put(pod);
  }

  #put(pod: Pod): 'pod' | 'mirror' | undefined {
    const uid = podUidOf(pod);
    if (isMirrorPod(pod)) {
      this.#mirrors.set(uid, withoutNoise(pod));
      return 'mirror';
    }
    const before = this.#pods.get(uid);
    const next = this.#stamped(pod);
    if (before && same(essence(before), essence(next))) {
      // The same object for those who compare, with the newest status for the next patch.
      if (!this.#quiet.has(uid)) this.#quiet.set(uid, before);
      this.#pods.set(uid, next);
      return undefined;
    }
    this.#quiet.delete(uid);
    this.#pods.set(uid, next);
    return 'pod';
  }

  #stamped(pod: Pod): Pod {
    const uid = podUidOf(pod);
    const plain = withoutNoise(pod);
    const annotations = {
      ...plain.metadata?.annotations,
      [podAnnotations.source]: 'api',
      [podAnnotations.seen]: this.#seen.at(uid),
    };
    return { ...plain, metadata: { ...plain.metadata, annotations } };
  }

  /** Once per turn, however many events came in it. */
  #announce(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const pods = [...this.#pods].map(([uid, pod]) => this.#quiet.get(uid) ?? pod);
      this.#announced = { synced: this.#synced, pods };
      for (const listener of this.#listeners) listener(this.#announced);
    });
  }

  #announceMirrors(): void {
    for (const listener of this.#mirrorListeners) listener();
  }
}

/** `managedFields` is as large as the rest of a pod and nothing the node reads. */
function withoutNoise(pod: Pod): Pod {
  const { managedFields: _, ...metadata } = pod.metadata ?? {};
  return { ...pod, metadata };
}

/** Versions of one resource grow; texts that are no numbers cannot be compared. */
function isNewer(a: Pod, b: Pod): boolean {
  const [left, right] = [a, b].map((pod) => Number(pod.metadata?.resourceVersion));
  return left !== undefined && right !== undefined && left > right;
}
