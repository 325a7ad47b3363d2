import { isTerminalPhase, type Pod, type PodUid } from '../api/index.js';
import type { DesiredPod } from '../podloop/pod-facts.js';
import type { DevicesUsers } from './open-devices.js';

export interface PodsOfNode {
  all(): readonly DesiredPod[];
}

/** The pods of this node as devices see them. */
export function devicesUsers(
  desired: PodsOfNode,
  loops: { wakeKnown(uid: PodUid): void },
  phaseOf: (uid: PodUid) => string | undefined,
): DevicesUsers {
  return {
    wake: (uid) => loops.wakeKnown(uid),
    ending: () =>
      desired.all().flatMap(({ pod, termination }) => {
        return termination ? [{ pod, until: termination.since + termination.graceSeconds * 1000 }] : [];
      }),
    activePods: (): readonly Pod[] =>
      desired
        .all()
        .filter(({ uid, pod }) => !isTerminalPhase(phaseOf(uid)) && !isTerminalPhase(pod.status?.phase))
        .map(({ pod }) => pod),
  };
}
