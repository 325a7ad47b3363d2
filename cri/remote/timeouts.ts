import type * as v1 from '../../proto/generated/cri-v1.js';

export interface RemoteTimeouts {
  /** Deadline of an ordinary call; the kubelet's `runtimeRequestTimeout`. */
  readonly requestMs: number;
}

export const defaultTimeouts: RemoteTimeouts = { requestMs: 120_000 };

const second = 1000;
/** Twenty-three days. A server on Node takes one that it rounds up to more than 2^31 ms for one that is over. */
const longestMs = 2_000_000_000;

/** Each call's deadline in milliseconds, undefined for none; the kubelet's rules. */
export const deadlines = {
  ordinary: (timeouts: RemoteTimeouts): number => timeouts.requestMs,
  /** A sandbox waits for CNI too. */
  runPodSandbox: (timeouts: RemoteTimeouts): number => timeouts.requestMs * 2,
  stopContainer: (timeouts: RemoteTimeouts, request: v1.StopContainerRequest): number =>
    Math.min(timeouts.requestMs + (request.timeout ?? 0) * second, longestMs),
  /** Timeout 0 means none: then the runtime has the last word as well. */
  execSync: (timeouts: RemoteTimeouts, request: v1.ExecSyncRequest): number | undefined =>
    (request.timeout ?? 0) === 0
      ? undefined
      : Math.min(timeouts.requestMs + (request.timeout ?? 0) * second, longestMs),
  checkpointContainer: (timeouts: RemoteTimeouts, request: v1.CheckpointContainerRequest): number =>
    Math.max(timeouts.requestMs, (request.timeout ?? 0) * second),
};
