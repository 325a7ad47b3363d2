import type { Clock } from '../../base/clock.js';
import { podUidOf, type Pod, type PodUid } from '../api/index.js';
import type { EventRecorder } from '../events/event-recorder.js';
import { podReference } from '../events/references.js';
import type { Termination } from '../podloop/pod-facts.js';
import { admitPod, type AdmissionNode } from './admit-pod.js';
import { PodAmounts } from './pod-amounts.js';
import { preempted, preemptionMessage } from './preempted.js';

export interface NodeAdmissionDeps {
  readonly clock: Clock;
  readonly events: EventRecorder;
  /** The node as it is now. */
  node(): Omit<AdmissionNode, 'amounts'>;
  terminate(uid: PodUid, termination: Termination): void;
  /** A pod makes room of this resource. */
  preempted?(resource: string): void;
}

export type NodeAdmission = (
  pod: Pod,
  active: readonly Pod[],
) =>
  | { readonly admitted: true; readonly pod: Pod }
  | { readonly admitted: false; readonly reason: string; readonly message: string };

/** Decides about pods as they come, and ends those that must make room for a critical one. */
export function nodeAdmission(deps: NodeAdmissionDeps): NodeAdmission {
  const amounts = new PodAmounts();
  return (pod, active) => {
    const verdict = admitPod(pod, active, { ...deps.node(), amounts });
    if (!verdict.admitted) return verdict;
    for (const victim of verdict.preempt ?? []) {
      deps.events.record(podReference(victim), 'Warning', 'Preempting', preemptionMessage);
      deps.preempted?.(verdict.shortOf ?? '');
      deps.terminate(podUidOf(victim), preempted(deps.clock.now()));
    }
    return { admitted: true, pod };
  };
}
