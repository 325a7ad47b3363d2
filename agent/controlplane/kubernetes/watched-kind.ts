import type { Clock } from '../../../base/clock.js';
import { errorText } from '../../../base/errors.js';
import { linkSignal, onAbort } from '../../../base/signals.js';
import type { Logger } from '../../../base/log.js';
import { ControlPlaneError } from '../control-plane.js';
import { reflect, statusOf, type ApiClient, type WatchedObject } from './client/index.js';
import type { LastKnown } from './last-known.js';
import { toControlPlaneError } from './to-control-plane-error.js';

export interface WatchedKindOptions {
  /** For people: `ClusterTrustBundles`. */
  readonly name: string;
  /** Where it may be served, the newest version of its API first. */
  readonly paths: readonly string[];
  readonly fieldSelector?: string | undefined;
  /** What a cluster must have turned on that does not serve it. */
  readonly needs: string;
  /** Kept on disk, so that a start without the server goes on from there. */
  readonly kept?: boolean | undefined;
}

export interface WatchedKindDeps {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly lastKnown: LastKnown;
}

/** Nobody asks any more: the next pod that does comes soon, or never. */
const lingerMs = 60_000;
/** How long a read waits for the first list. */
const firstListMs = 1000;
/** A cluster may begin to serve the kind. */
const notServedRetryMs = 60_000;

/** All objects of one kind that this node may see, watched as long as some pod uses one of them. */
export class WatchedKind<T extends WatchedObject> implements AsyncDisposable {
  readonly #options: WatchedKindOptions;
  readonly #deps: WatchedKindDeps;
  readonly #listeners = new Map<() => void, string>();
  readonly #waiting = new Set<() => void>();
  readonly #objects = new Map<string, T>();
  #state: 'unknown' | 'synced' | ControlPlaneError = 'unknown';
  #running: { readonly stop: AbortController; readonly done: Promise<void> } | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(options: WatchedKindOptions, deps: WatchedKindDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Tells of one object, or of all when `name` is empty. */
  watch(namespace: string, name: string, onChange: () => void): Disposable {
    const own = (): void => onChange();
    this.#listeners.set(own, name === '' ? '' : `${namespace}/${name}`);
    this.#begin();
    return {
      [Symbol.dispose]: () => {
        this.#listeners.delete(own);
        this.#rest();
      },
    };
  }

  async get(namespace: string, name: string, signal: AbortSignal): Promise<T | undefined> {
    return (await this.#known(signal)).get(`${namespace}/${name}`);
  }

  async list(signal: AbortSignal): Promise<readonly T[]> {
    return [...(await this.#known(signal)).values()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listeners.clear();
    await this.#end();
  }

  async #known(signal: AbortSignal): Promise<ReadonlyMap<string, T>> {
    this.#begin();
    this.#rest();
    if (this.#state === 'unknown') await this.#settled(signal);
    if (this.#state === 'synced') return this.#objects;
    const last = this.#deps.lastKnown.get(this.#options.name) as readonly T[] | undefined;
    const isAway = this.#state === 'unknown' || this.#state.failure.code === 'unavailable';
    if (last && isAway) return new Map(last.map((each) => [keyOf(each), each]));
    if (this.#state !== 'unknown') throw this.#state;
    throw new ControlPlaneError(`list ${this.#options.name}: they have not been read yet`, { code: 'unavailable' });
  }

  async #settled(signal: AbortSignal): Promise<void> {
    using limited = linkSignal(signal, { timeoutMs: firstListMs });
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        unlink();
        resolve();
      };
      const unlink = onAbort(limited.signal, done);
      this.#waiting.add(done);
    });
    signal.throwIfAborted();
  }

  #begin(): void {
    clearTimeout(this.#idle);
    if (this.#running) return;
    const stop = new AbortController();
    const done = this.#run(stop.signal).catch(() => {});
    this.#running = { stop, done };
  }

  #rest(): void {
    clearTimeout(this.#idle);
    if (this.#listeners.size > 0) return;
    this.#idle = setTimeout(() => void this.#end(), lingerMs).unref();
  }

  async #end(): Promise<void> {
    clearTimeout(this.#idle);
    const running = this.#running;
    this.#running = undefined;
    this.#state = 'unknown';
    this.#objects.clear();
    running?.stop.abort(new DOMException('the watch is given up', 'AbortError'));
    await running?.done;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { name, needs, paths } = this.#options;
    while (!signal.aborted) {
      for (const path of paths) await this.#follow(path, signal);
      const why = `list ${name}: the cluster does not serve them; its API server needs ${needs}`;
      this.#fail(new ControlPlaneError(why, { code: 'unsupported' }));
      await this.#deps.clock.sleep(notServedRetryMs, signal);
    }
  }

  /** Until the server does not know the path, or no longer. */
  async #follow(path: string, signal: AbortSignal): Promise<void> {
    const { fieldSelector } = this.#options;
    using known = linkSignal(signal);
    const target = {
      replaced: (items: readonly T[]) => {
        const before = new Map(this.#objects);
        this.#objects.clear();
        for (const item of items) this.#objects.set(keyOf(item), item);
        this.#state = 'synced';
        const keys = [...new Set([...before.keys(), ...this.#objects.keys()])];
        this.#told(keys.filter((key) => versionOf(before.get(key)) !== versionOf(this.#objects.get(key))));
      },
      changed: (item: T) => {
        this.#objects.set(keyOf(item), item);
        this.#told([keyOf(item)]);
      },
      removed: (item: T) => {
        this.#objects.delete(keyOf(item));
        this.#told([keyOf(item)]);
      },
      failed: (err: unknown) => {
        // A list that is not found is a kind that is not there, whatever words the server has for it.
        if (statusOf(err) === 404) return known.abort(new DOMException('the path is not served', 'AbortError'));
        const problem = toControlPlaneError(err);
        // What was read before must not be given out when the node may no longer read it.
        if (this.#state !== 'synced' || problem.failure.code === 'forbidden') this.#fail(problem);
      },
    };
    try {
      await reflect<T>({ path, fieldSelector }, target, this.#deps, known.signal);
    } catch (err) {
      signal.throwIfAborted();
      this.#deps.log.debug({ path, err: errorText(err) }, 'watch of a kind ended');
    }
  }

  #fail(problem: ControlPlaneError): void {
    this.#state = problem;
    this.#release();
  }

  #told(keys: readonly string[]): void {
    if (this.#options.kept === true) this.#deps.lastKnown.put(this.#options.name, [...this.#objects.values()]);
    this.#release();
    if (keys.length === 0) return;
    for (const [listener, key] of this.#listeners) if (key === '' || keys.includes(key)) listener();
  }

  #release(): void {
    for (const done of this.#waiting) done();
  }
}

const keyOf = ({ metadata }: WatchedObject): string => `${metadata?.namespace ?? ''}/${metadata?.name ?? ''}`;
const versionOf = (object: WatchedObject | undefined): string | undefined => object?.metadata?.resourceVersion;
