import type { Pod, PodUid } from '../api/index.js';
import type { ProbedState } from './probe-record.js';
import type { ObservedContainer, ProbeFacts } from '../podloop/pod-facts.js';

export interface ProbeTarget {
  readonly container: ObservedContainer;
  /** How it was before this agent: a container that ran well before stays so until a probe says otherwise. */
  readonly before: ProbedState;
}

/** Runs the probes of pods; knows results, decides nothing. */
export interface ProbeManager {
  /** Starts, keeps or ends the probes of a pod so that they match its running containers. Called at each pass; cheap. */
  sync(pod: Pod, podIp: string, targets: readonly ProbeTarget[], terminating: boolean): void;
  /** By container id; containers without probes are started and ready while they run. */
  facts(uid: PodUid): ReadonlyMap<string, ProbeFacts>;
  /** All probes of the pod end. */
  remove(uid: PodUid): void;
  /** Calls back when a result changed. */
  onChange(listener: (uid: PodUid) => void): Disposable;
}
