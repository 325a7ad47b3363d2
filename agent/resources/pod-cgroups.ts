import type { Pod, PodUid } from '../api/index.js';

/** The pod level of the cgroup tree, which the agent owns; containers below it are the runtime's. */
export interface PodCgroups {
  /** Makes the QoS and pod cgroups and sets their limits (facts 4.1, 4.2). Idempotent. */
  ensure(pod: Pod, signal: AbortSignal): Promise<void>;
  /** `cgroup_parent` of the sandbox: the expanded path for either driver. */
  parentOf(pod: Pod): string;
  exists(pod: Pod): boolean;
  /** Ends what is left in it and removes it. Idempotent. */
  remove(uid: PodUid, signal: AbortSignal): Promise<void>;
  /** Uids of pods that have a cgroup, for finding orphans at start. */
  present(signal: AbortSignal): Promise<readonly PodUid[]>;
}
