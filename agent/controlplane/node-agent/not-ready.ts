import { toRfc3339 } from '../../../base/clock.js';
import type { NodeCondition, NodeStatus } from '../../api/index.js';

/** The status with one more reason for the node not to be ready. */
export function notReady(status: NodeStatus, previous: NodeStatus | undefined, why: string, now: number): NodeStatus {
  const of = (each: NodeStatus | undefined): NodeCondition | undefined =>
    each?.conditions?.find(({ type }) => type === 'Ready');
  const [before, ready] = [of(previous), of(status)];
  const words = ready?.status === 'False' && ready.message ? `${ready.message}, ${why}` : why;
  const since = before?.status === 'False' ? before.lastTransitionTime : undefined;
  const condition: NodeCondition = {
    ...{ ...ready, type: 'Ready', status: 'False', reason: 'KubeletNotReady', message: words },
    lastTransitionTime: since ?? toRfc3339(now),
  };
  return { ...status, conditions: [...(status.conditions ?? []).filter((each) => each !== ready), condition] };
}
