import {
  aggregateContainerRequests,
  effectiveRequests,
  hasPodLevelResources,
  isCriticalPod,
  podQosClass,
  quantityValue,
  type Container,
  type EphemeralContainer,
  type Pod,
} from '../api/index.js';

const scores = { guaranteed: -997, bestEffort: 1000, least: 3, most: 999 };
const nodeCriticalPriority = 2_000_001_000;

/**
 * oom_score_adj of a container: the more of the node's memory it asked for, the later it is killed (facts 4.2). A sidecar is not killed
 * before all the regular containers it serves: its score is at most that of the one which asked for least.
 */
export function oomScoreAdj(pod: Pod, container: Container | EphemeralContainer, nodeMemoryBytes: number): number {
  const own = scoreOf(pod, container, nodeMemoryBytes);
  const sidecar = (pod.spec?.initContainers ?? []).some(
    (init) => init.name === container.name && init.restartPolicy === 'Always',
  );
  if (!sidecar) return own;
  const regular = (pod.spec?.containers ?? []).map((each) => scoreOf(pod, each, nodeMemoryBytes));
  return Math.min(own, Math.max(...regular));
}

function scoreOf(pod: Pod, container: Container | EphemeralContainer, nodeMemoryBytes: number): number {
  if (isNodeCritical(pod)) return scores.guaranteed;
  switch (podQosClass(pod)) {
    case 'Guaranteed':
      return scores.guaranteed;
    case 'BestEffort':
      return scores.bestEffort;
    case 'Burstable': {
      const requested = quantityValue(effectiveRequests(container)['memory'] ?? '0') + sharedRemainder(pod);
      const score = 1000 - Math.floor((1000 * requested) / Math.max(nodeMemoryBytes, 1));
      return Math.min(Math.max(score, scores.least), scores.most);
    }
  }
}

/** Nobody turns the class into a number for the pod of a manifest. */
function isNodeCritical(pod: Pod): boolean {
  const { priority = 0, priorityClassName } = pod.spec ?? {};
  return priority >= nodeCriticalPriority || (isCriticalPod(pod) && priorityClassName === 'system-node-critical');
}

/** What the pod as a whole asks for beyond its containers, in equal parts. */
function sharedRemainder(pod: Pod): number {
  if (!hasPodLevelResources(pod)) return 0;
  const podRequest = quantityValue(pod.spec?.resources?.requests?.['memory'] ?? '0');
  const containerRequests = quantityValue(aggregateContainerRequests(pod)['memory'] ?? '0');
  const count =
    (pod.spec?.containers.length ?? 0) +
    (pod.spec?.initContainers ?? []).filter((c) => c.restartPolicy === 'Always').length;
  return Math.max(podRequest - containerRequests, 0) / Math.max(count, 1);
}
