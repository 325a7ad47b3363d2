import { matchesNode } from '../../admission/node-affinity.js';
import { podUidOf, type Node, type Pod, type PodUid } from '../../api/index.js';

export interface HeldPodsDeps {
  readonly nodeName: string;
  node(): Node | undefined;
  /** Asks the server for the node's object now; resolves also when it cannot be had. */
  refresh(): Promise<void>;
  pass(pod: Pod): void;
}

/**
 * A pod may come before the label of the node that it was bound for: they travel on two watches. One that does not seem to belong
 * here waits until the node has been asked for once more, as the kubelet does before it refuses a pod for its affinity.
 */
export class HeldPods {
  readonly #deps: HeldPodsDeps;
  readonly #held = new Map<PodUid, Pod>();

  constructor(deps: HeldPodsDeps) {
    this.#deps = deps;
  }

  /** True when the pod is passed on later, in its newest version. */
  hold(pod: Pod, isNew: boolean): boolean {
    const uid = podUidOf(pod);
    const waits = this.#held.has(uid);
    if (!waits && (!isNew || this.#belongs(pod))) return false;
    this.#held.set(uid, pod);
    if (!waits) void this.#deps.refresh().then(() => this.#release(uid));
    return true;
  }

  forget(pod: Pod): void {
    this.#held.delete(podUidOf(pod));
  }

  /** The full set has been told; what waits is in it. */
  clear(): void {
    this.#held.clear();
  }

  #release(uid: PodUid): void {
    const pod = this.#held.get(uid);
    if (!pod || !this.#held.delete(uid)) return;
    this.#deps.pass(pod);
  }

  #belongs(pod: Pod): boolean {
    const labels = this.#deps.node()?.metadata?.labels;
    return labels === undefined || matchesNode(pod, this.#deps.nodeName, labels);
  }
}
