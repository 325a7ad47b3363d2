import { podQosClass, podRequests, quantityMilliValue, quantityValue, type Pod } from '../../api/index.js';

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
export function orderResizes(pending: readonly PendingResize[]): readonly PendingResize[] {
  return pending.toSorted(
    (a, b) =>
      Number(asksForMore(a)) - Number(asksForMore(b)) ||
      (b.to.spec?.priority ?? 0) - (a.to.spec?.priority ?? 0) ||
      classRank[podQosClass(a.to)] - classRank[podQosClass(b.to)] ||
      a.since - b.since,
  );
}

function asksForMore({ from, to }: PendingResize): boolean {
  const [before, after] = [podRequests(from), podRequests(to)];
  return (
    quantityMilliValue(after['cpu'] ?? '0') > quantityMilliValue(before['cpu'] ?? '0') ||
    quantityValue(after['memory'] ?? '0') > quantityValue(before['memory'] ?? '0')
  );
}
