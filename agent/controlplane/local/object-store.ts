import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { removeUnfinishedWrites, writeFileAtomic } from '../../../base/atomic-file.js';
import { errnoOf, errorText } from '../../../base/errors.js';
import type { Clock } from '../../../base/clock.js';
import type { Logger } from '../../../base/log.js';
import type { ObjectMeta } from '../../api/index.js';
import { FirstSeenTimes } from './first-seen-times.js';
import type { Sealer } from './sealed-file.js';

/** Any object of the store. */
export interface StoredObject {
  readonly apiVersion?: string | undefined;
  readonly kind?: string | undefined;
  readonly metadata?: ObjectMeta | undefined;
}

export interface ObjectKey {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

const text = ({ kind, namespace, name }: ObjectKey): string => `${kind}/${namespace}/${name}`;

/**
 * Objects of a machine without a cluster: those applied (kept on disk, sealed, one file each) and those the manifest folder holds
 * (kept in memory, they have a file already). An applied object goes before one of the folder.
 */
export class ObjectStore {
  readonly #dir: string;
  readonly #sealer: Sealer;
  readonly #log: Logger;
  readonly #firstSeen: FirstSeenTimes;
  readonly #applied = new Map<string, StoredObject>();
  /** One object for each that a source gave: a source gives the very same one as long as nothing changed. */
  readonly #aged = new WeakMap<StoredObject, StoredObject>();
  #fromManifests = new Map<string, StoredObject>();
  readonly #watchers = new Map<string, Set<() => void>>();
  readonly #anyWatchers = new Set<(key: ObjectKey) => void>();
  #version = 0;

  private constructor(dir: string, sealer: Sealer, log: Logger, firstSeen: FirstSeenTimes) {
    this.#dir = dir;
    this.#sealer = sealer;
    this.#log = log;
    this.#firstSeen = firstSeen;
  }

  static async open(
    dir: string,
    sealer: Sealer,
    deps: { readonly clock: Clock; readonly log: Logger },
  ): Promise<ObjectStore> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await removeUnfinishedWrites(dir);
    const firstSeen = await FirstSeenTimes.open(join(dir, 'manifest-objects.json'), deps);
    const store = new ObjectStore(dir, sealer, deps.log, firstSeen);
    for (const file of await readdir(dir)) if (file.endsWith('.sealed')) await store.#load(file);
    return store;
  }

  get(key: ObjectKey): StoredObject | undefined {
    return this.#applied.get(text(key)) ?? this.#fromManifests.get(text(key));
  }

  list(kind: string, namespace: string): StoredObject[] {
    const all = new Map([...this.#fromManifests, ...this.#applied]);
    return [...all.values()].filter(
      (object) => object.kind === kind && (namespace === '' || object.metadata?.namespace === namespace),
    );
  }

  /** True for an object that `apply` made, false for one of the manifest folder. */
  isApplied(key: ObjectKey): boolean {
    return this.#applied.has(text(key));
  }

  /** Creates or replaces; the resource version grows. */
  async apply(object: StoredObject): Promise<StoredObject> {
    const key = keyOf(object);
    const stamped = { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.#version) } };
    this.#applied.set(text(key), stamped);
    await writeFileAtomic(this.#path(key), this.#sealer.seal(JSON.stringify(stamped)));
    this.#changed(key);
    return stamped;
  }

  async remove(key: ObjectKey): Promise<boolean> {
    if (!this.#applied.delete(text(key))) return false;
    await rm(this.#path(key), { force: true });
    this.#changed(key);
    return true;
  }

  /** The newest full set of the manifests' objects; not `complete` while a source of manifests has not been read yet. */
  setManifestObjects(objects: readonly StoredObject[], complete: boolean): void {
    const before = this.#fromManifests;
    const keyed = objects.map((object) => [text(keyOf(object)), object] as const);
    const since = this.#firstSeen.of(
      keyed.map(([key]) => key),
      complete,
    );
    this.#fromManifests = new Map(keyed.map(([key, object]) => [key, this.#withAge(object, since.get(key))]));
    const changed = new Map<string, ObjectKey>();
    for (const [key, object] of [...before, ...this.#fromManifests]) {
      if (before.get(key) !== this.#fromManifests.get(key)) changed.set(key, keyOf(object));
    }
    for (const key of changed.values()) this.#changed(key);
  }

  #withAge(object: StoredObject, creationTimestamp: string | undefined): StoredObject {
    const known = this.#aged.get(object);
    if (known !== undefined) return known;
    const aged: StoredObject = { ...object, metadata: { creationTimestamp, ...object.metadata } };
    this.#aged.set(object, aged);
    return aged;
  }

  watch(key: ObjectKey, onChange: () => void): Disposable {
    const watchers = this.#watchers.get(text(key)) ?? new Set();
    this.#watchers.set(text(key), watchers);
    // A wrapper, so that one listener may watch twice.
    const own = (): void => onChange();
    watchers.add(own);
    return {
      [Symbol.dispose]: () => {
        watchers.delete(own);
        if (watchers.size === 0) this.#watchers.delete(text(key));
      },
    };
  }

  onAnyChange(listener: (key: ObjectKey) => void): Disposable {
    this.#anyWatchers.add(listener);
    return { [Symbol.dispose]: () => void this.#anyWatchers.delete(listener) };
  }

  #changed(key: ObjectKey): void {
    for (const watcher of this.#watchers.get(text(key)) ?? []) watcher();
    for (const watcher of this.#anyWatchers) watcher(key);
  }

  /** Names of objects are DNS labels and cannot hold the separator. */
  #path(key: ObjectKey): string {
    return join(this.#dir, `${key.kind}_${key.namespace}_${key.name}.sealed`);
  }

  async #load(file: string): Promise<void> {
    const path = join(this.#dir, file);
    try {
      const object = JSON.parse(this.#sealer.unseal(await readFile(path))) as StoredObject;
      this.#applied.set(text(keyOf(object)), object);
      this.#version = Math.max(this.#version, Number(object.metadata?.resourceVersion ?? 0));
    } catch (err) {
      if (errnoOf(err) === 'ENOENT') return;
      await rename(path, `${path}.corrupt-${Date.now()}`);
      this.#log.error({ path, err: errorText(err) }, 'stored object cannot be read and was set aside');
    }
  }
}

export function keyOf(object: StoredObject): ObjectKey {
  return { kind: object.kind ?? '', namespace: object.metadata?.namespace ?? '', name: object.metadata?.name ?? '' };
}
