import type { Clock } from '../../../base/clock.js';
import { KeyedLock } from '../../../base/fifo-limit.js';
import { podKey, podUidOf, type Pod, type PodStatus, type PodUid } from '../../api/index.js';
import { ControlPlaneError } from '../control-plane.js';
import { statusOf, type ApiClient } from './client/index.js';
import type { PodCache } from './pod-cache.js';
import { objectPath } from './resource-paths.js';
import { statusPatch, unknownFields } from './status-patch.js';

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
  /** Pods that are looked at again when their time has come. */
  readonly #due = new Set<PodUid>();
  /** Fields that the server drops: written again, they would be missing again. */
  readonly #unknown = new Set<string>();

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
    const { clock } = this.#deps;
    const unknown = this.#unknown;
    if (!wanted || !known || !statusPatch(known.status, wanted.status, { ...wanted, unknown })) return;
    const waitMs = wanted.repairedAt + repairEveryMs - clock.now();
    if (waitMs > 0 && waitMs <= repairEveryMs) {
      if (this.#due.has(uid)) return;
      this.#due.add(uid);
      await clock.sleep(waitMs, signal).finally(() => this.#due.delete(uid));
      return await this.repair(uid, signal);
    }
    wanted.repairedAt = clock.now();
    await this.#locks.run(uid, () => this.#write(wanted.pod, wanted.status, wanted.mayRevive, signal), signal);
  }

  forget(uid: PodUid): void {
    this.#wanted.delete(uid);
  }

  /** Refused because it was made for another UID, or because the node has no business any more with a pod of this name. */
  #isGone(pod: Pod, err: unknown): boolean {
    const { cache } = this.#deps;
    return [403, 409].includes(statusOf(err)) && cache.synced && cache.get(podUidOf(pod)) === undefined;
  }

  async #write(pod: Pod, status: PodStatus, mayRevive: boolean, signal: AbortSignal): Promise<void> {
    const { client, cache } = this.#deps;
    const { namespace = '', name = '', uid = '' } = pod.metadata ?? {};
    const path = objectPath('Pod', namespace, name);
    const cached = cache.get(podUidOf(pod));
    // The server has told of all pods of the node, and would not let it read one that it has no more.
    if (!cached && cache.synced) throw gone(pod);
    const known = cached ?? (await client.json<Pod>({ method: 'GET', path }, signal));
    if (known.metadata?.uid !== uid) throw gone(pod);
    const patch = statusPatch(known.status, status, { mayRevive, unknown: this.#unknown });
    if (!patch) return;
    try {
      const body = { metadata: { uid }, status: patch };
      const request = { method: 'PATCH', path: `${path}/status`, body, bodyType: 'strategic-merge-patch' } as const;
      const answer = await client.json<Pod>(request, signal);
      for (const field of unknownFields(patch, answer.status)) this.#unknown.add(field);
      cache.written(answer);
    } catch (err) {
      if (statusOf(err) === 404 || this.#isGone(pod, err)) throw gone(pod);
      throw err;
    }
  }
}

const gone = (pod: Pod): ControlPlaneError =>
  new ControlPlaneError(`write the status of pod ${podKey(pod)}: it is gone`, { code: 'not-found' });
