import { errorText } from '../../../base/errors.js';
import type { Clock } from '../../../base/clock.js';
import type { Logger } from '../../../base/log.js';
import {
  podAnnotations,
  podFullName,
  podKey,
  podUidOf,
  type Node,
  type Pod,
  type PodStatus,
  type PodUid,
} from '../../api/index.js';
import { WakeUp } from '../../sources/wake-up.js';
import { Backoff, statusOf, type ApiClient } from './client/index.js';
import type { PodCache } from './pod-cache.js';
import type { PodStatusWriter } from './pod-status-writer.js';
import { listPath, objectPath } from './resource-paths.js';

export interface MirrorPodsDeps {
  readonly client: ApiClient;
  readonly cache: PodCache;
  readonly statuses: PodStatusWriter;
  readonly clock: Clock;
  readonly log: Logger;
  /** The server's object of this node; mirrors belong to it. */
  node(): Node | undefined;
}

interface Shown {
  pod: Pod;
  status: PodStatus | undefined;
}

/** Also looked at without a reason, so that nothing stays wrong for ever. */
const recheckMs = 60_000;

/**
 * Keeps copies of the node's static pods on the API server, so that the cluster sees them. Level-triggered: each round compares
 * the static pods there are with the mirrors there are, and makes, replaces or deletes mirrors. A mirror never decides anything.
 */
export class MirrorPods {
  readonly #deps: MirrorPodsDeps;
  readonly #wake = new WakeUp();
  /** By UID of the static pod. One that ends stays until nothing of it is left. */
  readonly #shown = new Map<PodUid, Shown>();
  #wanted: ReadonlySet<PodUid> | undefined;

  constructor(deps: MirrorPodsDeps) {
    this.#deps = deps;
  }

  /** All static pods; called once every manifest source has delivered, and after each change. */
  set(pods: readonly Pod[]): void {
    this.#wanted = new Set(pods.map(podUidOf));
    for (const pod of pods) {
      const uid = podUidOf(pod);
      this.#shown.set(uid, { pod, status: this.#shown.get(uid)?.status });
    }
    this.#wake.set();
  }

  report(pod: Pod, status: PodStatus): void {
    this.#shown.set(podUidOf(pod), { pod, status });
    this.#wake.set();
  }

  /** Nothing of a static pod is left on the node. */
  gone(pod: Pod): void {
    const uid = podUidOf(pod);
    if (this.#wanted?.has(uid) !== true) this.#shown.delete(uid);
    this.#wake.set();
  }

  changed(): void {
    this.#wake.set();
  }

  async run(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff({ firstMs: 500, maxMs: 15_000 });
    let waitMs = recheckMs;
    using _listener = this.#deps.client.onRecovery(() => this.#wake.set());
    while (!signal.aborted) {
      await this.#wake.wait(waitMs, signal);
      waitMs = recheckMs;
      try {
        await this.#round(signal);
        backoff.reset();
      } catch (err) {
        if (signal.aborted) return;
        waitMs = backoff.next();
        this.#deps.log.warn({ err: errorText(err), retryInMs: waitMs }, 'mirror pods could not be brought up to date');
      }
    }
  }

  async #round(signal: AbortSignal): Promise<void> {
    const { cache } = this.#deps;
    const owner = this.#deps.node();
    if (!cache.synced || this.#wanted === undefined || !owner || owner.metadata?.deletionTimestamp !== undefined)
      return;
    const occupants = this.#occupants();
    const mirrors = new Map(cache.mirrors().map((mirror) => [podFullName(mirror), mirror]));
    for (const [name, mirror] of mirrors) {
      const shown = occupants.get(name);
      if (shown && isCurrent(mirror, shown.pod, owner)) continue;
      await this.#delete(mirror, signal);
      mirrors.delete(name);
    }
    for (const [name, { pod, status }] of occupants) {
      const mirror = mirrors.get(name) ?? (await this.#create(pod, owner, signal));
      if (mirror && status) await this.#deps.statuses.write(mirror, status, true, signal);
    }
  }

  /** Of two static pods with one name the one that still ends goes before the one that waits for it. */
  #occupants(): Map<string, Shown> {
    const occupants = new Map<string, Shown>();
    for (const [uid, shown] of this.#shown) {
      const name = podFullName(shown.pod);
      const ends = this.#wanted?.has(uid) !== true;
      if (ends || !occupants.has(name)) occupants.set(name, shown);
    }
    return occupants;
  }

  async #create(pod: Pod, owner: Node, signal: AbortSignal): Promise<Pod | undefined> {
    const { client, cache, log } = this.#deps;
    const namespace = pod.metadata?.namespace ?? 'default';
    try {
      const path = listPath('Pod', namespace);
      const made = await client.json<Pod>({ method: 'POST', path, body: mirrorOf(pod, owner) }, signal);
      cache.put(made);
      return made;
    } catch (err) {
      signal.throwIfAborted();
      // It is there; the watch will say so.
      if (statusOf(err) === 409) return undefined;
      if (statusOf(err) < 400 || statusOf(err) >= 500) throw err;
      log.warn({ pod: podKey(pod), err: errorText(err) }, 'the API server refuses the mirror of a static pod');
      return undefined;
    }
  }

  async #delete(mirror: Pod, signal: AbortSignal): Promise<void> {
    const { client, cache } = this.#deps;
    const { namespace = '', name = '', uid } = mirror.metadata ?? {};
    try {
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0, preconditions: { uid } };
      await client.json({ method: 'DELETE', path: objectPath('Pod', namespace, name), body }, signal);
    } catch (err) {
      if (statusOf(err) !== 404 && statusOf(err) !== 409) throw err;
    }
    this.#deps.statuses.forget(podUidOf(mirror));
    cache.remove(mirror);
  }
}

const hashOf = (pod: Pod, key: string): string | undefined => pod.metadata?.annotations?.[key];

function isCurrent(mirror: Pod, pod: Pod, owner: Node): boolean {
  if (mirror.metadata?.deletionTimestamp !== undefined) return false;
  const owned = mirror.metadata?.ownerReferences?.some(({ uid }) => uid === owner.metadata?.uid) === true;
  return owned && hashOf(mirror, podAnnotations.mirror) === hashOf(pod, podAnnotations.hash);
}

/** The same spec under the same name, marked as a copy and owned by the node. */
export function mirrorOf(pod: Pod, owner: Node): Pod {
  const { name, namespace, labels, annotations } = pod.metadata ?? {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      ...(labels && { labels }),
      annotations: { ...annotations, [podAnnotations.mirror]: hashOf(pod, podAnnotations.hash) ?? '' },
      ownerReferences: [
        {
          apiVersion: 'v1',
          kind: 'Node',
          name: owner.metadata?.name ?? '',
          uid: owner.metadata?.uid ?? '',
          controller: true,
        },
      ],
    },
    ...(pod.spec && { spec: pod.spec }),
  };
}
