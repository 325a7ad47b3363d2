import type * as v1 from '../../proto/generated/cri-v1.js';

/**
 * CRI v1 `RuntimeService`, verb for verb, with the semantics of the interface's own comments (k8s.io/cri-api v0.36).
 * Shared rules:
 * - ids may be cut short as long as they are unambiguous, in list filters and in verbs: crictl prints and sends no others; an id
 *   that is empty, or that two objects share, is `invalid-argument`;
 * - Stop and Remove verbs are idempotent: an object that is not there is a success; Status and Start of one is `not-found`;
 * - times are nanoseconds since the epoch, sizes bytes, grace periods seconds;
 * - a verb that fails leaves nothing behind that List does not show;
 * - every failure is a `CriError`; an aborted signal rejects with its own reason.
 * Exec, Attach and PortForward are in `StreamingService`: in process they carry streams, on the wire URLs.
 */
export interface RuntimeService {
  version(request: v1.VersionRequest, signal: AbortSignal): Promise<v1.VersionResponse>;
  status(request: v1.StatusRequest, signal: AbortSignal): Promise<v1.StatusResponse>;
  runtimeConfig(request: v1.RuntimeConfigRequest, signal: AbortSignal): Promise<v1.RuntimeConfigResponse>;
  updateRuntimeConfig(
    request: v1.UpdateRuntimeConfigRequest,
    signal: AbortSignal,
  ): Promise<v1.UpdateRuntimeConfigResponse>;

  /**
   * Creates and starts a sandbox; it is ready, with its network attached, when this resolves. After a failure nothing of it
   * is left, or what could not be undone is listed as a not-ready sandbox.
   */
  runPodSandbox(request: v1.RunPodSandboxRequest, signal: AbortSignal): Promise<v1.RunPodSandboxResponse>;
  /** Ends all containers at once (no grace) and gives the network back. Idempotent. */
  stopPodSandbox(request: v1.StopPodSandboxRequest, signal: AbortSignal): Promise<v1.StopPodSandboxResponse>;
  /** Removes the sandbox and its containers, by force when they run. Idempotent. */
  removePodSandbox(request: v1.RemovePodSandboxRequest, signal: AbortSignal): Promise<v1.RemovePodSandboxResponse>;
  /**
   * With the statuses of its containers, newest first, and a time at or before which all of it was so: a kubelet with EventedPLEG asks for
   * nothing else, keeps the order and takes the first of each name.
   */
  podSandboxStatus(request: v1.PodSandboxStatusRequest, signal: AbortSignal): Promise<v1.PodSandboxStatusResponse>;
  listPodSandbox(request: v1.ListPodSandboxRequest, signal: AbortSignal): Promise<v1.ListPodSandboxResponse>;
  updatePodSandboxResources(
    request: v1.UpdatePodSandboxResourcesRequest,
    signal: AbortSignal,
  ): Promise<v1.UpdatePodSandboxResourcesResponse>;

  createContainer(request: v1.CreateContainerRequest, signal: AbortSignal): Promise<v1.CreateContainerResponse>;
  startContainer(request: v1.StartContainerRequest, signal: AbortSignal): Promise<v1.StartContainerResponse>;
  /**
   * Stop signal, then SIGKILL after `timeout` seconds; resolves when the container has ended. Idempotent. A call with a shorter
   * timeout beside a running one shortens it.
   */
  stopContainer(request: v1.StopContainerRequest, signal: AbortSignal): Promise<v1.StopContainerResponse>;
  /** Removes the container, by force when it runs; its log stays. Idempotent. */
  removeContainer(request: v1.RemoveContainerRequest, signal: AbortSignal): Promise<v1.RemoveContainerResponse>;
  listContainers(request: v1.ListContainersRequest, signal: AbortSignal): Promise<v1.ListContainersResponse>;
  containerStatus(request: v1.ContainerStatusRequest, signal: AbortSignal): Promise<v1.ContainerStatusResponse>;
  updateContainerResources(
    request: v1.UpdateContainerResourcesRequest,
    signal: AbortSignal,
  ): Promise<v1.UpdateContainerResourcesResponse>;
  /** The log file was renamed: write on into a new one. No line is lost. */
  reopenContainerLog(
    request: v1.ReopenContainerLogRequest,
    signal: AbortSignal,
  ): Promise<v1.ReopenContainerLogResponse>;
  /**
   * Runs a command in a container to its end; the output of both streams together is cut at 16 MB, and the command runs on. `timeout`
   * 0 is none. A command that runs into its timeout is killed and the failure is `deadline-exceeded`.
   */
  execSync(request: v1.ExecSyncRequest, signal: AbortSignal): Promise<v1.ExecSyncResponse>;
  checkpointContainer(
    request: v1.CheckpointContainerRequest,
    signal: AbortSignal,
  ): Promise<v1.CheckpointContainerResponse>;

  containerStats(request: v1.ContainerStatsRequest, signal: AbortSignal): Promise<v1.ContainerStatsResponse>;
  listContainerStats(
    request: v1.ListContainerStatsRequest,
    signal: AbortSignal,
  ): Promise<v1.ListContainerStatsResponse>;
  podSandboxStats(request: v1.PodSandboxStatsRequest, signal: AbortSignal): Promise<v1.PodSandboxStatsResponse>;
  listPodSandboxStats(
    request: v1.ListPodSandboxStatsRequest,
    signal: AbortSignal,
  ): Promise<v1.ListPodSandboxStatsResponse>;
  listMetricDescriptors(
    request: v1.ListMetricDescriptorsRequest,
    signal: AbortSignal,
  ): Promise<v1.ListMetricDescriptorsResponse>;
  listPodSandboxMetrics(
    request: v1.ListPodSandboxMetricsRequest,
    signal: AbortSignal,
  ): Promise<v1.ListPodSandboxMetricsResponse>;

  /**
   * Container and sandbox events from now on, until the signal aborts (then it ends without an error). Events may be merged and
   * are hints: the reader looks at the status again. A runtime that has none fails with `unimplemented` on the first read.
   */
  containerEvents(signal: AbortSignal): AsyncIterable<v1.ContainerEventResponse>;
}
