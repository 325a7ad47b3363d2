import { toRfc3339 } from '../../base/clock.js';
import type { Termination } from '../podloop/pod-facts.js';

export const preemptionMessage = 'Preempted in order to admit critical pod';

/** How a pod ends that makes room for a critical one. */
export function preempted(now: number): Termination {
  return {
    cause: 'preempted',
    since: now,
    graceSeconds: 1,
    status: {
      phase: 'Failed',
      reason: 'Preempting',
      message: preemptionMessage,
      condition: {
        type: 'DisruptionTarget',
        status: 'True',
        reason: 'TerminationByKubelet',
        message: 'Pod was preempted by Kubelet to accommodate a critical pod.',
        lastTransitionTime: toRfc3339(now),
      },
    },
  };
}
