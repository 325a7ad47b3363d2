import type { Clock } from '../../../base/clock.js';
import type { Logger } from '../../../base/log.js';
import type { Pod, Service } from '../../api/index.js';
import { ControlPlaneError, type ReadableKind, type ReadableObjects } from '../control-plane.js';
import { ApiError, isNotServed, listAll, reflect, statusOf, type ApiClient } from './client/index.js';
import { Gate } from './gate.js';
import type { LastKnown } from './last-known.js';
import type { ApiObjectWatches } from './object-watches.js';
import { podReferences } from './pod-references.js';
import { listPath, objectPaths } from './resource-paths.js';

export interface ReadObjectsDeps {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly lastKnown: LastKnown;
  readonly watches: ApiObjectWatches;
  pods(): readonly Pod[];
}

/** How long a read waits for a watch of the object that was just begun. */
const watchWaitMs = 1000;
/** The server's view of which pods may use what follows the binding of a pod by a moment. */
const forbiddenRetriesMs = [50, 100, 200, 400];
/** Services have not been read and pods would run without their variables. */
const servicesWaitMs = 1000;
/** Kinds of which only what pods of the node use is kept on disk. */
const referenced = new Set<ReadableKind>(['ConfigMap', 'Secret', 'PersistentVolumeClaim']);
/** Never kept: they change by themselves, or are of no use without the server. */
const notKept = new Set<ReadableKind>(['Pod', 'Node', 'ServiceAccount', 'VolumeAttachment', 'CSINode']);

/** Reads objects by name: from a watch where there is one, else by asking; while the server is away, what it last said. */
export class ReadObjects {
  readonly #deps: ReadObjectsDeps;
  #services: Map<string, Service> | undefined;
  readonly #servicesKnown = new Gate();

  constructor(deps: ReadObjectsDeps) {
    this.#deps = deps;
    const stored = deps.lastKnown.get('Services') as Service[] | undefined;
    this.#services = undefined;
    this.#lastServices = stored;
  }

  #lastServices: readonly Service[] | undefined;

  /** Follows all services: environment variables of containers name those of their namespace. */
  async run(signal: AbortSignal): Promise<void> {
    const key = (service: Service): string => `${service.metadata?.namespace}/${service.metadata?.name}`;
    const changed = (): void => {
      this.#lastServices = [...(this.#services ?? new Map<string, Service>()).values()].map(slim);
      this.#deps.lastKnown.put('Services', this.#lastServices);
    };
    await reflect<Service>(
      { path: listPath('Service', '') },
      {
        replaced: (items) => {
          this.#services = new Map(items.map((service) => [key(service), service]));
          this.#servicesKnown.open();
          changed();
        },
        changed: (service) => {
          this.#services?.set(key(service), service);
          changed();
        },
        removed: (service) => {
          this.#services?.delete(key(service));
          changed();
        },
      },
      this.#deps,
      signal,
    );
  }

  async get<K extends ReadableKind>(
    kind: K,
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<ReadableObjects[K] | undefined> {
    const { watches, lastKnown } = this.#deps;
    const key = `${kind}/${namespace}/${name}`;
    if (watches.has(kind, namespace, name)) {
      await watches.settled(kind, namespace, name, watchWaitMs, signal);
      const known = watches.known(kind, namespace, name);
      if (known) {
        this.#keep(key, kind, known.object);
        return known.object;
      }
    }
    try {
      const object = await this.#read(kind, namespace, name, signal);
      this.#keep(key, kind, object);
      return object;
    } catch (err) {
      signal.throwIfAborted();
      // A server that answers is believed, also when it says no.
      const answered =
        err instanceof ApiError &&
        err.failure.code === 'status' &&
        err.failure.status < 500 &&
        err.failure.status !== 401 &&
        err.failure.status !== 429;
      const last = lastKnown.get(key) as ReadableObjects[K] | undefined;
      if (answered || last === undefined) throw err;
      return last;
    }
  }

  async list<K extends ReadableKind>(
    kind: K,
    namespace: string,
    signal: AbortSignal,
  ): Promise<readonly ReadableObjects[K][]> {
    if (kind !== 'Service') {
      const { items } = await listAll<ReadableObjects[K]>(
        this.#deps.client,
        { path: listPath(kind, namespace) },
        signal,
      );
      return items;
    }
    const all = await this.#allServices(signal);
    const own = all.filter((service) => namespace === '' || service.metadata?.namespace === namespace);
    return own as readonly unknown[] as readonly ReadableObjects[K][];
  }

  async #allServices(signal: AbortSignal): Promise<readonly Service[]> {
    if (!this.#services) {
      const patience = this.#deps.clock.sleep(servicesWaitMs, signal);
      await Promise.race([this.#servicesKnown.passed, patience]);
    }
    const known = this.#services ? [...this.#services.values()] : this.#lastServices;
    if (!known)
      throw new ControlPlaneError('list services: they have not been read yet, and containers need their variables', {
        code: 'unavailable',
      });
    return known;
  }

  /** Undefined when the server says that there is none. */
  async #read<K extends ReadableKind>(
    kind: K,
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<ReadableObjects[K] | undefined> {
    const { client, clock } = this.#deps;
    const paths = objectPaths(kind, namespace, name);
    for (let tries = 0, version = 0; ; tries++) {
      const path = paths[version] ?? '';
      try {
        return await client.json<ReadableObjects[K]>({ method: 'GET', path }, signal);
      } catch (err) {
        if (isNotServed(err) && version + 1 < paths.length) {
          version++;
          continue;
        }
        if (statusOf(err) === 404) return undefined;
        const wait = forbiddenRetriesMs[tries];
        if (statusOf(err) !== 403 || wait === undefined) throw err;
        await clock.sleep(wait, signal);
      }
    }
  }

  #keep(key: string, kind: ReadableKind, object: object | undefined): void {
    const { lastKnown } = this.#deps;
    if (notKept.has(kind)) return;
    if (!object) return lastKnown.remove(key);
    if (referenced.has(kind) && !this.#deps.pods().some((pod) => podReferences(pod).has(key))) return;
    const before = lastKnown.get(key) as { metadata?: { resourceVersion?: string } } | undefined;
    const { metadata } = object as { metadata?: { resourceVersion?: string } };
    if (before?.metadata?.resourceVersion !== metadata?.resourceVersion) lastKnown.put(key, object);
  }
}

/** What environment variables are made of. */
function slim({ metadata, spec }: Service): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: metadata?.name, namespace: metadata?.namespace },
    ...(spec && { spec }),
  };
}
