import type { Container, PodSandbox } from '../../proto/generated/cri-v1.js';
import { criLabels, isCriCode, type RuntimeService } from '../../cri/index.js';
import type { PodUid } from '../api/index.js';

/** What the runtime has of one pod, as its lists show it. */
export interface PodItems {
  readonly sandboxes: readonly Pick<PodSandbox, 'id' | 'state'>[];
  readonly containers: readonly Pick<Container, 'id' | 'state' | 'podSandboxId'>[];
}

export type AllItems = ReadonlyMap<PodUid, PodItems>;

interface Listing {
  /** Pods touched after this mark are not as the listing shows them. */
  readonly mark: number;
  readonly items: Promise<AllItems>;
}

const nothing: PodItems = { sandboxes: [], containers: [] };
/** Marks kept of pods that were touched; with more, it is cheaper to list everything again. */
const mostTouched = 2000;

/**
 * The runtime's two lists. One look at everything serves all pods that nothing has touched since: a hundred pods at the start of the agent, and each
 * new pod's first look, cost no call of their own.
 */
export class RuntimeListing {
  readonly #runtime: RuntimeService;
  #listing: Listing | undefined;
  readonly #touched = new Map<PodUid, number>();
  #mark = 0;

  constructor(runtime: RuntimeService) {
    this.#runtime = runtime;
  }

  /** Something of the pod changed, or may have. */
  touch(uid: PodUid): void {
    if (this.#touched.size > mostTouched) this.forget();
    this.#touched.set(uid, ++this.#mark);
  }

  /** Anything may have changed. */
  forget(): void {
    this.#listing = undefined;
    this.#touched.clear();
  }

  async of(uid: PodUid, signal: AbortSignal): Promise<PodItems> {
    const touched = this.#touched.get(uid) ?? 0;
    if (touched > (this.#listing?.mark ?? 0)) return await this.#one(uid, signal);
    try {
      return (await (this.#listing ?? this.#take(signal)).items).get(uid) ?? nothing;
    } catch (err) {
      // Everything at once may be more than one message holds; one pod is not.
      if (isCriCode(err, 'resource-exhausted')) return await this.#one(uid, signal);
      throw err;
    }
  }

  async #one(uid: PodUid, signal: AbortSignal): Promise<PodItems> {
    const filter = { labelSelector: { [criLabels.podUid]: uid } };
    return (await this.#list(filter, signal)).get(uid) ?? nothing;
  }

  /** Looks at everything afresh. */
  async all(signal: AbortSignal): Promise<AllItems> {
    return await this.#take(signal).items;
  }

  #take(signal: AbortSignal): Listing {
    const listing: Listing = { mark: this.#mark, items: this.#list(undefined, signal) };
    this.#listing = listing;
    listing.items.catch(() => {
      if (this.#listing === listing) this.#listing = undefined;
    });
    for (const [uid, mark] of this.#touched) if (mark <= listing.mark) this.#touched.delete(uid);
    return listing;
  }

  async #list(filter: { labelSelector: Record<string, string> } | undefined, signal: AbortSignal): Promise<AllItems> {
    const [{ items = [] }, { containers = [] }] = await Promise.all([
      this.#runtime.listPodSandbox({ filter }, signal),
      this.#runtime.listContainers({ filter }, signal),
    ]);
    const pods = new Map<PodUid, { sandboxes: PodSandbox[]; containers: Container[] }>();
    const podOf = (labels: PodSandbox['labels']): { sandboxes: PodSandbox[]; containers: Container[] } | undefined => {
      const uid = labels?.[criLabels.podUid] as PodUid | undefined;
      if (uid === undefined) return undefined;
      const pod = pods.get(uid) ?? { sandboxes: [], containers: [] };
      pods.set(uid, pod);
      return pod;
    };
    for (const { id, state, labels } of items) podOf(labels)?.sandboxes.push({ id, state });
    for (const { id, state, podSandboxId, labels } of containers)
      podOf(labels)?.containers.push({ id, state, podSandboxId });
    return pods;
  }
}
