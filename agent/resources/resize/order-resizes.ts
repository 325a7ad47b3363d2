import { podQosClass, type Pod } from '../../api/index.js';
import { asksForMore } from './pod-resources.js';

export interface PendingResize {
  /** As allocated. */
  readonly from: Pod;
  /** As wanted. */
  readonly to: Pod;
  /** ms since which it waits. */
  readonly since: number;
}

const classRank = { Guaranteed: 0, Burstable: 1, BestEffort: 2 } as const;

/** Which waiting resize is tried first (facts 4.5): those that free something, then priority, class, and who waits longest. */
export function orderResizes<T extends PendingResize>(pending: readonly T[]): readonly T[] {
  return pending.toSorted(
    (a, b) =>
      Number(asksForMore(a.from, a.to)) - Number(asksForMore(b.from, b.to)) ||
      (b.to.spec?.priority ?? 0) - (a.to.spec?.priority ?? 0) ||
      classRank[podQosClass(a.to)] - classRank[podQosClass(b.to)] ||
      a.since - b.since,
  );
}
