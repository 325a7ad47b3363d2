import type { Clock } from '../../../base/clock.js';
import { KeyedLock } from '../../../base/fifo-limit.js';
import { podKey, podUidOf, type Pod, type PodStatus, type PodUid } from '../../api/index.js';
import { ControlPlaneError } from '../control-plane.js';
import { statusOf, type ApiClient } from './client/index.js';
import type { PodCache } from './pod-cache.js';
import { objectPath } from './resource-paths.js';
import { statusPatch } from './status-patch.js';

export interface PodStatusWriterDeps {
  readonly client: ApiClient;
  readonly cache: PodCache;
  readonly clock: Clock;
}

interface Wanted {
  readonly pod: Pod;
  readonly status: PodStatus;
  readonly mayRevive: boolean;
  repairedAt: number;
}

/** Two who write one status must not do so in a loop. */
const repairEveryMs = 10_000;

/** Writes the node's part of pod statuses: only what differs from the server's newest version, one write per pod at a time. */
export class PodStatusWriter {
  readonly #deps: PodStatusWriterDeps;
  readonly #locks = new KeyedLock();
  readonly #wanted = new Map<PodUid, Wanted>();

  constructor(deps: PodStatusWriterDeps) {
    this.#deps = deps;
  }

  /** `not-found` when the server has no pod of this name and UID any more. */
  async write(pod: Pod, status: PodStatus, mayRevive: boolean, signal: AbortSignal): Promise<void> {
    const repairedAt = this.#wanted.get(podUidOf(pod))?.repairedAt ?? Number.NEGATIVE_INFINITY;
    this.#wanted.set(podUidOf(pod), { pod, status, mayRevive, repairedAt });
    await this.#locks.run(podUidOf(pod), () => this.#write(pod, status, mayRevive, signal), signal);
  }

  /** Someone else changed what the node had written of a pod: it is written again. */
  async repair(uid: PodUid, signal: AbortSignal): Promise<void> {
    const wanted = this.#wanted.get(uid);
    const known = this.#deps.cache.get(uid);
    const now = this.#deps.clock.now();
    if (!wanted || !known || now - wanted.repairedAt < repairEveryMs) return;
    if (!statusPatch(known.status, wanted.status, wanted)) return;
    wanted.repairedAt = now;
    await this.#locks.run(uid, () => this.#write(wanted.pod, wanted.status, wanted.mayRevive, signal), signal);
  }

  forget(uid: PodUid): void {
    this.#wanted.delete(uid);
  }

  async #write(pod: Pod, status: PodStatus, mayRevive: boolean, signal: AbortSignal): Promise<void> {
    const { client, cache } = this.#deps;
    const { namespace = '', name = '', uid = '' } = pod.metadata ?? {};
    const path = objectPath('Pod', namespace, name);
    const known = cache.get(podUidOf(pod)) ?? (await client.json<Pod>({ method: 'GET', path }, signal));
    if (known.metadata?.uid !== uid) throw gone(pod);
    const patch = statusPatch(known.status, status, { mayRevive });
    if (!patch) return;
    try {
      const body = { metadata: { uid }, status: patch };
      const request = { method: 'PATCH', path: `${path}/status`, body, bodyType: 'strategic-merge-patch' } as const;
      cache.written(await client.json<Pod>(request, signal));
    } catch (err) {
      // Another pod of this name: its UID is not the one the patch was made for.
      if (statusOf(err) === 409 || statusOf(err) === 404) throw gone(pod);
      throw err;
    }
  }
}

const gone = (pod: Pod): ControlPlaneError =>
  new ControlPlaneError(`write the status of pod ${podKey(pod)}: it is gone`, { code: 'not-found' });
