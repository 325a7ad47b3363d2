import type { ContainerStateTerminated, ContainerStatus } from '../api/index.js';
import { isSidecar, type Pod } from '../api/index.js';
import { unknownExitCode } from '../podloop/pod-view.js';
import { inferredEndReasons } from '../podloop/start-question.js';

const notLocated: ContainerStateTerminated = {
  exitCode: unknownExitCode,
  reason: inferredEndReasons.unknown,
  message: 'The container could not be located when the pod was terminated',
};

export interface FinalStatuses {
  readonly init: readonly ContainerStatus[];
  readonly regular: readonly ContainerStatus[];
}

/**
 * Of a pod that is over and done with: no container is left in a state from which it could still go on. Those that never had a
 * chance to run because the pod was not initialized stay waiting.
 */
export function finalStatuses(pod: Pod, { init, regular }: FinalStatuses): FinalStatuses {
  const lastTouched = Math.max(
    init.findLastIndex(({ state, lastState }) => !state?.waiting || lastState?.terminated !== undefined),
    0,
  );
  return {
    init: init.map((status, index) => (index <= lastTouched ? ended(status) : status)),
    regular: wasInitialized(pod, { init, regular }) ? regular.map(ended) : regular,
  };
}

function ended(status: ContainerStatus): ContainerStatus {
  if (status.state?.terminated) return status;
  return { ...status, ready: false, started: false, state: { terminated: notLocated } };
}

function wasInitialized(pod: Pod, { init, regular }: FinalStatuses): boolean {
  const specs = pod.spec?.initContainers ?? [];
  const last = specs.at(-1);
  if (!last) return true;
  if (regular.some(({ state, lastState }) => lastState?.terminated !== undefined || !state?.waiting)) return true;
  const status = init.find(({ name }) => name === last.name);
  if (isSidecar(last)) return status?.state?.running !== undefined && status.started === true;
  return status?.state?.terminated?.exitCode === 0 || status?.lastState?.terminated?.exitCode === 0;
}
