import { systemCriticalPriority, type Pod } from '../api/index.js';

/** Pods of this priority and above, up to the next group's, get this long. */
export interface ShutdownGroup {
  readonly priority: number;
  readonly periodMs: number;
}

export interface ShutdownSettings {
  /** shutdownGracePeriod; 0 turns the whole thing off. */
  readonly periodMs: number;
  /** shutdownGracePeriodCriticalPods: the part of it that is for critical pods. */
  readonly criticalMs: number;
  /** shutdownGracePeriodByPodPriority; excludes the other two. */
  readonly byPriority: readonly ShutdownGroup[];
}

export interface GroupOfPods extends ShutdownGroup {
  readonly pods: readonly Pod[];
}

/** Groups by rising priority; empty when the node does not shut down by itself. */
export function shutdownGroups({ periodMs, criticalMs, byPriority }: ShutdownSettings): readonly ShutdownGroup[] {
  if (byPriority.length > 0) return byPriority.toSorted((a, b) => a.priority - b.priority);
  if (periodMs <= 0) return [];
  return [
    { priority: 0, periodMs: periodMs - criticalMs },
    { priority: systemCriticalPriority, periodMs: criticalMs },
  ];
}

export const totalPeriodMs = (groups: readonly ShutdownGroup[]): number =>
  groups.reduce((sum, { periodMs }) => sum + periodMs, 0);

/**
 * Who goes with which group, lowest priority first; pods below the lowest group go with it. Groups without pods take no time. As with a
 * kubelet the number alone counts: a pod of a manifest is not one of the last because nothing evicts it.
 */
export function groupPods(pods: readonly Pod[], groups: readonly ShutdownGroup[]): readonly GroupOfPods[] {
  const members = groups.map((): Pod[] => []);
  for (const pod of pods) {
    const own = pod.spec?.priority ?? 0;
    const at = Math.max(
      groups.findLastIndex(({ priority }) => priority <= own),
      0,
    );
    members[at]?.push(pod);
  }
  return groups.flatMap((group, at) => {
    const own = members[at] ?? [];
    return own.length === 0 ? [] : [{ ...group, pods: own }];
  });
}
