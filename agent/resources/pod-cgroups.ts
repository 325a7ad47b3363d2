import type { Pod, PodUid } from '../api/index.js';
import type { CgroupLimits } from './cgroups/cgroup-limits.js';
import type { LimitChanges } from './resize/plan-resize.js';

/** The pod level of the cgroup tree, which the agent owns; containers below it are the runtime's. */
export interface PodCgroups {
  /** Makes the QoS and pod cgroups and sets their limits (facts 4.1, 4.2). Idempotent. */
  ensure(pod: Pod, signal: AbortSignal): Promise<void>;
  /** Takes a pod into account whose cgroup is there, without touching its limits. */
  adopt(pod: Pod, signal: AbortSignal): Promise<void>;
  /** What of a pod cgroup that is there differs from what the pod is to have, as the kernel has it now. */
  changes(pod: Pod): PodLimitChanges;
  /** What the pod is to have. */
  limitsOf(pod: Pod): CgroupLimits;
  setLimits(pod: Pod, limits: CgroupLimits, signal: AbortSignal): Promise<void>;
  /** Bytes of memory all of the pod uses; undefined where nobody counts. */
  memoryUse(pod: Pod): number | undefined;
  /** `cgroup_parent` of the sandbox: the expanded path for either driver. */
  parentOf(pod: Pod): string;
  exists(pod: Pod): boolean;
  /** Ends what is left in it and removes it. Idempotent. */
  remove(uid: PodUid, signal: AbortSignal): Promise<void>;
  /** Uids of pods that have a cgroup, for finding orphans at start. */
  present(signal: AbortSignal): Promise<readonly PodUid[]>;
}

export interface PodLimitChanges extends LimitChanges {
  readonly memory: { readonly before: number | undefined; readonly after: number | undefined };
}
