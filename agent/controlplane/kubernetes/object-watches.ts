import type { Clock } from '../../../base/clock.js';
import { linkSignal } from '../../../base/signals.js';
import type { Logger } from '../../../base/log.js';
import type { ReadableKind, ReadableObjects } from '../control-plane.js';
import { reflect, statusOf, type ApiClient, type WatchedObject } from './client/index.js';
import { listPath } from './resource-paths.js';

export interface ObjectWatchesDeps {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Watch {
  readonly listeners: Set<() => void>;
  readonly stop: AbortController;
  readonly done: Promise<void>;
  object: WatchedObject | undefined;
  synced: boolean;
  /** Set once nobody listens: the watch stays a moment for the next one who does. */
  idle: NodeJS.Timeout | undefined;
}

/** Pods come and go; a watch is not given up and taken again with each. */
const lingerMs = 60_000;

/** One watch for each object that someone listens to. */
export class ApiObjectWatches implements AsyncDisposable {
  readonly #deps: ObjectWatchesDeps;
  readonly #watches = new Map<string, Watch>();

  constructor(deps: ObjectWatchesDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#watches.size;
  }

  watch(kind: ReadableKind, namespace: string, name: string, onChange: () => void): Disposable {
    const key = `${kind}/${namespace}/${name}`;
    const watch = this.#watches.get(key) ?? this.#start(key, kind, namespace, name);
    clearTimeout(watch.idle);
    // A wrapper, so that one listener may watch twice.
    const own = (): void => onChange();
    watch.listeners.add(own);
    return {
      [Symbol.dispose]: () => {
        if (!watch.listeners.delete(own) || watch.listeners.size > 0) return;
        watch.idle = setTimeout(() => this.#end(key, watch), lingerMs);
        watch.idle.unref();
      },
    };
  }

  /** What the watch of an object last saw; undefined when there is no watch or it has not seen anything yet. */
  known<K extends ReadableKind>(
    kind: K,
    namespace: string,
    name: string,
  ): { readonly object: ReadableObjects[K] | undefined } | undefined {
    const watch = this.#watches.get(`${kind}/${namespace}/${name}`);
    return watch?.synced === true ? { object: watch.object as ReadableObjects[K] | undefined } : undefined;
  }

  has(kind: ReadableKind, namespace: string, name: string): boolean {
    return this.#watches.has(`${kind}/${namespace}/${name}`);
  }

  /** Resolves when the watch has seen its object or its absence, or after `timeoutMs`. */
  async settled(
    kind: ReadableKind,
    namespace: string,
    name: string,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    using limited = linkSignal(signal, { timeoutMs });
    await new Promise<void>((resolve) => {
      const watch = this.#watches.get(`${kind}/${namespace}/${name}`);
      if (!watch || watch.synced || limited.signal.aborted) return resolve();
      const done = (): void => {
        watch.listeners.delete(done);
        resolve();
      };
      watch.listeners.add(done);
      limited.signal.addEventListener('abort', done, { once: true });
    });
    signal.throwIfAborted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [...this.#watches];
    for (const [key, watch] of all) this.#end(key, watch);
    await Promise.all(all.map(([, watch]) => watch.done));
  }

  #start(key: string, kind: ReadableKind, namespace: string, name: string): Watch {
    const stop = new AbortController();
    const tell = (): void => {
      for (const listener of [...watch.listeners]) listener();
    };
    const seen = (object: WatchedObject | undefined): void => {
      const before = watch.object;
      const first = !watch.synced;
      watch.object = object;
      watch.synced = true;
      if (first || before?.metadata?.resourceVersion !== object?.metadata?.resourceVersion) tell();
    };
    const running = reflect<WatchedObject>(
      { path: listPath(kind, namespace), fieldSelector: `metadata.name=${name}` },
      {
        replaced: (items) => seen(items.find((item) => item.metadata?.name === name)),
        changed: (item) => seen(item),
        removed: () => seen(undefined),
        failed: (err) => {
          // What was read before must not be given out when the node may no longer read it.
          if (statusOf(err) === 403) watch.synced = false;
        },
      },
      this.#deps,
      stop.signal,
    ).catch(() => {});
    const watch: Watch = {
      listeners: new Set(),
      stop,
      done: running,
      object: undefined,
      synced: false,
      idle: undefined,
    };
    this.#watches.set(key, watch);
    return watch;
  }

  #end(key: string, watch: Watch): void {
    clearTimeout(watch.idle);
    watch.stop.abort(new DOMException('the watch is given up', 'AbortError'));
    this.#watches.delete(key);
  }
}
