import type * as v1 from '../../proto/generated/cri-v1.js';

/** A kubelet takes the first of each name for the one that counts. Clocks are coarser than restarts may be: then the attempt decides. */
export function newestFirst(statuses: readonly v1.ContainerStatus[]): v1.ContainerStatus[] {
  return [...statuses].sort(
    (a, b) => (b.createdAt ?? 0) - (a.createdAt ?? 0) || (b.metadata?.attempt ?? 0) - (a.metadata?.attempt ?? 0),
  );
}
