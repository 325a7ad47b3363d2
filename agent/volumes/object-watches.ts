import type { ControlPlane, ReadableKind, ReadableObjects } from '../controlplane/control-plane.js';
import type { PodUid } from '../api/index.js';

interface Watch {
  readonly users: Set<PodUid>;
  /** Undefined once the object said it never changes. */
  watching: Disposable | undefined;
}

/**
 * A cluster lets a node read single claims, volumes and attachments, and watch none of them. They are looked at again now and then, and
 * attachments when the Node object says that something else is attached.
 */
const unwatchable: ReadonlySet<ReadableKind> = new Set([
  'PersistentVolumeClaim',
  'PersistentVolume',
  'VolumeAttachment',
]);

/** How often the kubelet looks at the claims of a pod that runs. */
const lookEveryMs = 60_000;

export interface ClusterNode {
  readonly nodeName: string;
  /** As the node's object says now. */
  volumesAttached(signal: AbortSignal): Promise<string>;
}

/** Which pods use which objects: one watch for each object, however many pods use it, none for an immutable one. */
export class ObjectWatches implements Disposable {
  readonly #stop = new AbortController();
  readonly #cluster: ClusterNode | undefined;
  #timer: NodeJS.Timeout | undefined;
  #node: Disposable | undefined;
  #attached = '';
  readonly #objects: Pick<ControlPlane, 'get' | 'watch'>;
  readonly #onChange: (uid: PodUid) => void;
  readonly #watches = new Map<string, Watch>();
  readonly #usedBy = new Map<PodUid, Set<string>>();

  /** `cluster` where what may be watched is what a node may. */
  constructor(objects: Pick<ControlPlane, 'get' | 'watch'>, onChange: (uid: PodUid) => void, cluster?: ClusterNode) {
    this.#cluster = cluster;
    this.#objects = objects;
    this.#onChange = onChange;
  }

  /** Reads the newest version for a pod, which from before the read on is told of changes. */
  async read<K extends ReadableKind>(
    uid: PodUid,
    kind: K,
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<ReadableObjects[K] | undefined> {
    const key = `${kind}/${namespace}/${name}`;
    const watch = this.#use(uid, key, kind, namespace, name);
    const object = await this.#objects.get(kind, namespace, name, signal);
    if (object && 'immutable' in object && object.immutable === true) {
      watch.watching?.[Symbol.dispose]();
      watch.watching = undefined;
    } else if (!watch.watching && this.#watches.get(key) === watch && this.#mayWatch(kind)) {
      watch.watching = this.#watch(kind, namespace, name, key);
    }
    return object;
  }

  /** From before it lists them on, a pod is told when any object of a kind changes, comes or goes. */
  followAll(uid: PodUid, kind: 'ClusterTrustBundle'): void {
    this.#use(uid, `${kind}//`, kind, '', '');
  }

  /** The pod is told when the cluster attached something to this node, or detached it. */
  followAttached(uid: PodUid): void {
    if (this.#cluster) this.#use(uid, 'VolumeAttachment//', 'VolumeAttachment', '', '');
  }

  release(uid: PodUid): void {
    for (const key of this.#usedBy.get(uid) ?? []) {
      const watch = this.#watches.get(key);
      if (!watch) continue;
      watch.users.delete(uid);
      if (watch.users.size > 0) continue;
      watch.watching?.[Symbol.dispose]();
      this.#watches.delete(key);
    }
    this.#usedBy.delete(uid);
  }

  get size(): number {
    return this.#watches.size;
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new DOMException('the agent stops', 'AbortError'));
    clearInterval(this.#timer);
    this.#node?.[Symbol.dispose]();
    for (const { watching } of this.#watches.values()) watching?.[Symbol.dispose]();
    this.#watches.clear();
    this.#usedBy.clear();
  }

  #use(uid: PodUid, key: string, kind: ReadableKind, namespace: string, name: string): Watch {
    let watch = this.#watches.get(key);
    if (!watch) {
      watch = { users: new Set(), watching: undefined };
      this.#watches.set(key, watch);
      watch.watching = this.#watch(kind, namespace, name, key);
    }
    watch.users.add(uid);
    const used = this.#usedBy.get(uid) ?? new Set();
    this.#usedBy.set(uid, used.add(key));
    return watch;
  }

  #mayWatch(kind: ReadableKind): boolean {
    return !this.#cluster || !unwatchable.has(kind);
  }

  #watch(kind: ReadableKind, namespace: string, name: string, key: string): Disposable | undefined {
    if (this.#mayWatch(kind)) return this.#objects.watch(kind, namespace, name, () => this.#changed(key));
    this.#timer ??= setInterval(() => this.#lookAt(...unwatchable), lookEveryMs).unref();
    if (kind === 'VolumeAttachment') this.#followNode();
    return undefined;
  }

  #followNode(): void {
    const cluster = this.#cluster;
    if (this.#node || !cluster) return;
    const look = (): void => {
      cluster
        .volumesAttached(this.#stop.signal)
        .then((attached) => {
          if (attached === this.#attached) return;
          this.#attached = attached;
          this.#lookAt('VolumeAttachment');
        })
        // The next change of the node, or the next look, tells it.
        .catch(() => {});
    };
    this.#node = this.#objects.watch('Node', '', cluster.nodeName, look);
    look();
  }

  /** Pods that use objects of these kinds, each once. */
  #lookAt(...kinds: readonly ReadableKind[]): void {
    const uids = new Set<PodUid>();
    for (const [key, { users }] of this.#watches)
      if (kinds.some((kind) => key.startsWith(`${kind}/`))) for (const uid of users) uids.add(uid);
    for (const uid of uids) this.#onChange(uid);
  }

  #changed(key: string): void {
    for (const uid of this.#watches.get(key)?.users ?? []) this.#onChange(uid);
  }
}
