import type { ControlPlane, ReadableKind, ReadableObjects } from '../controlplane/control-plane.js';
import type { PodUid } from '../api/index.js';

interface Watch {
  readonly users: Set<PodUid>;
  /** Undefined once the object said it never changes. */
  watching: Disposable | undefined;
}

/** Which pods use which objects: one watch for each object, however many pods use it, none for an immutable one. */
export class ObjectWatches implements Disposable {
  readonly #objects: Pick<ControlPlane, 'get' | 'watch'>;
  readonly #onChange: (uid: PodUid) => void;
  readonly #watches = new Map<string, Watch>();
  readonly #usedBy = new Map<PodUid, Set<string>>();

  constructor(objects: Pick<ControlPlane, 'get' | 'watch'>, onChange: (uid: PodUid) => void) {
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
    } else if (!watch.watching && this.#watches.get(key) === watch) {
      watch.watching = this.#objects.watch(kind, namespace, name, () => this.#changed(key));
    }
    return object;
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
    for (const { watching } of this.#watches.values()) watching?.[Symbol.dispose]();
    this.#watches.clear();
    this.#usedBy.clear();
  }

  #use(uid: PodUid, key: string, kind: ReadableKind, namespace: string, name: string): Watch {
    let watch = this.#watches.get(key);
    if (!watch) {
      watch = { users: new Set(), watching: undefined };
      this.#watches.set(key, watch);
      watch.watching = this.#objects.watch(kind, namespace, name, () => this.#changed(key));
    }
    watch.users.add(uid);
    const used = this.#usedBy.get(uid) ?? new Set();
    this.#usedBy.set(uid, used.add(key));
    return watch;
  }

  #changed(key: string): void {
    for (const uid of this.#watches.get(key)?.users ?? []) this.#onChange(uid);
  }
}
