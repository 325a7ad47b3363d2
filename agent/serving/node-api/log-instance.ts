import type { ContainerStatus } from '../../api/index.js';
import type { RuntimeFacts } from '../../podloop/pod-facts.js';
import { ApiError } from './api-error.js';

/** Which start of a container a log belongs to. */
export interface LogInstance {
  readonly attempt: number;
  /** `<runtime>://<id>`. */
  readonly containerId: string;
}

export interface LogQuestion {
  readonly pod: string;
  readonly container: string;
  readonly status: ContainerStatus | undefined;
  readonly observed: RuntimeFacts | undefined;
  /** The instance before the newest end. */
  readonly previous: boolean;
}

/** Chooses the instance whose log is meant, with the kubelet's rules and words (facts 9.2). */
export function chooseLogInstance({ pod, container, status, observed, previous }: LogQuestion): LogInstance {
  const what = `container "${container}" in pod "${pod}"`;
  const last = status?.lastState?.terminated?.containerID;
  const instance = (containerId: string, fallback: number): LogInstance => ({
    containerId,
    attempt: observed?.containers.find((each) => each.containerId === containerId)?.restartCount ?? fallback,
  });
  const restarts = status?.restartCount ?? 0;
  if (previous) {
    if (!last) throw new ApiError('BadRequest', `previous terminated ${what} not found`);
    return instance(last, Math.max(restarts - 1, 0));
  }
  const { running, terminated, waiting } = status?.state ?? {};
  if (running && status?.containerID) return instance(status.containerID, restarts);
  if (terminated?.containerID) return instance(terminated.containerID, restarts);
  if (last) return instance(last, Math.max(restarts - 1, 0));
  if (terminated) throw new ApiError('BadRequest', `${what} is terminated and left no log`);
  const reason = [waiting?.reason ?? 'ContainerCreating', waiting?.message].filter(Boolean).join(': ');
  throw new ApiError('BadRequest', `${what} is waiting to start: ${reason}`);
}
