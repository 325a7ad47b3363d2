import { criError } from '../contract/cri-error.js';
import { newestFirst } from '../contract/newest-first.js';
import type { RuntimeService } from '../contract/runtime-service.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { createContainer } from './containers/create-container.js';
import { containerStatus, listContainers, refresh } from './containers/container-status.js';
import { removeEnded } from './containers/remove-container.js';
import { startContainer } from './containers/start-container.js';
import type { ContainerStops } from './containers/stop-container.js';
import { reopenLog } from './containers/reopen-log.js';
import { updateResources } from './containers/update-resources.js';
import type { RuntimeContext } from './context.js';
import { runSandbox } from './sandboxes/run-sandbox.js';
import { listSandboxes, sandboxStatus } from './sandboxes/sandbox-status.js';
import { removeSandbox, stopSandbox } from './sandboxes/stop-sandbox.js';
import { runtimeEvents } from './runtime-events.js';
import { runtimeStatus } from './runtime-status.js';
import type { RuntimeStats } from './stats/runtime-stats.js';
import { execSync } from './streaming/exec-sync.js';
import { containerInfo, sandboxInfo } from './verbose-info.js';

const millis = (seconds: number | undefined): number => Math.max(0, seconds ?? 0) * 1000;

/** CRI v1 on this machine's own namespaces, overlayfs, conmon and an OCI runtime. Every verb is a function of the context. */
export class EmbeddedRuntime implements RuntimeService {
  readonly #context: RuntimeContext;
  readonly #stops: ContainerStops;
  readonly #stats: RuntimeStats;

  constructor(context: RuntimeContext, stops: ContainerStops, stats: RuntimeStats) {
    this.#context = context;
    this.#stops = stops;
    this.#stats = stats;
  }

  async version(_request: v1.VersionRequest): Promise<v1.VersionResponse> {
    return {
      version: '0.1.0',
      runtimeName: 'berth',
      runtimeVersion: this.#context.options.version,
      runtimeApiVersion: 'v1',
    };
  }

  async status(request: v1.StatusRequest, signal: AbortSignal): Promise<v1.StatusResponse> {
    return await runtimeStatus(this.#context, request, signal);
  }

  async runtimeConfig(_request: v1.RuntimeConfigRequest): Promise<v1.RuntimeConfigResponse> {
    return { linux: { cgroupDriver: this.#context.systemdCgroup ? 'SYSTEMD' : 'CGROUPFS' } };
  }

  /** The pod CIDR is the network's business, which has its own configuration. */
  async updateRuntimeConfig(_request: v1.UpdateRuntimeConfigRequest): Promise<v1.UpdateRuntimeConfigResponse> {
    return {};
  }

  async runPodSandbox(request: v1.RunPodSandboxRequest, signal: AbortSignal): Promise<v1.RunPodSandboxResponse> {
    signal.throwIfAborted();
    return await runSandbox(this.#context, request, signal);
  }

  async stopPodSandbox(request: v1.StopPodSandboxRequest, signal: AbortSignal): Promise<v1.StopPodSandboxResponse> {
    const sandbox = this.#context.findSandbox(request.podSandboxId);
    if (sandbox !== undefined) await stopSandbox(this.#context, sandbox, this.#stops, signal);
    return {};
  }

  async removePodSandbox(
    request: v1.RemovePodSandboxRequest,
    signal: AbortSignal,
  ): Promise<v1.RemovePodSandboxResponse> {
    const sandbox = this.#context.findSandbox(request.podSandboxId);
    if (sandbox !== undefined) await removeSandbox(this.#context, sandbox, this.#stops, signal);
    return {};
  }

  async podSandboxStatus(request: v1.PodSandboxStatusRequest): Promise<v1.PodSandboxStatusResponse> {
    const sandbox = this.#context.sandbox(request.podSandboxId);
    const containers = [...sandbox.containers].filter((entry) => entry.phase.kind !== 'creating');
    for (const entry of containers) refresh(this.#context, entry, false);
    return {
      status: sandboxStatus(this.#context, sandbox),
      info: request.verbose === true ? sandboxInfo(sandbox) : {},
      containersStatuses: newestFirst(containers.map((entry) => containerStatus(entry))),
      timestamp: this.#context.deps.clock.now() * 1e6,
    };
  }

  async listPodSandbox(request: v1.ListPodSandboxRequest): Promise<v1.ListPodSandboxResponse> {
    return listSandboxes(this.#context, request.filter);
  }

  /** Sandbox resources are the pod cgroup's, which is the agent's; there is nothing here that could take them. */
  async updatePodSandboxResources(
    request: v1.UpdatePodSandboxResourcesRequest,
  ): Promise<v1.UpdatePodSandboxResourcesResponse> {
    this.#context.sandbox(request.podSandboxId);
    return {};
  }

  async createContainer(request: v1.CreateContainerRequest, signal: AbortSignal): Promise<v1.CreateContainerResponse> {
    signal.throwIfAborted();
    return await createContainer(this.#context, request, signal);
  }

  async startContainer(request: v1.StartContainerRequest, signal: AbortSignal): Promise<v1.StartContainerResponse> {
    await startContainer(this.#context, this.#context.container(request.containerId), signal);
    return {};
  }

  async stopContainer(request: v1.StopContainerRequest, signal: AbortSignal): Promise<v1.StopContainerResponse> {
    const entry = this.#context.findContainer(request.containerId);
    if (entry !== undefined) {
      await this.#context.at('container-stopping', entry.id);
      await this.#stops.stop(this.#context, entry, millis(request.timeout), signal);
    }
    return {};
  }

  async removeContainer(request: v1.RemoveContainerRequest, signal: AbortSignal): Promise<v1.RemoveContainerResponse> {
    const entry = this.#context.findContainer(request.containerId);
    if (entry !== undefined) {
      await this.#stops.stop(this.#context, entry, 0, signal);
      await removeEnded(this.#context, entry, signal);
    }
    return {};
  }

  async listContainers(request: v1.ListContainersRequest): Promise<v1.ListContainersResponse> {
    return listContainers(this.#context, request.filter);
  }

  async containerStatus(request: v1.ContainerStatusRequest): Promise<v1.ContainerStatusResponse> {
    const entry = this.#context.container(request.containerId);
    refresh(this.#context, entry, true);
    return {
      status: containerStatus(entry),
      info: request.verbose === true ? containerInfo(this.#context, entry) : {},
    };
  }

  async updateContainerResources(
    request: v1.UpdateContainerResourcesRequest,
    signal: AbortSignal,
  ): Promise<v1.UpdateContainerResourcesResponse> {
    const entry = this.#context.container(request.containerId);
    await updateResources(this.#context, entry, request.linux ?? {}, signal);
    return {};
  }

  async reopenContainerLog(
    request: v1.ReopenContainerLogRequest,
    signal: AbortSignal,
  ): Promise<v1.ReopenContainerLogResponse> {
    await reopenLog(this.#context, this.#context.container(request.containerId), signal);
    return {};
  }

  async execSync(request: v1.ExecSyncRequest, signal: AbortSignal): Promise<v1.ExecSyncResponse> {
    const entry = this.#context.container(request.containerId);
    return await execSync(this.#context, entry, request.cmd ?? [], millis(request.timeout), signal);
  }

  async checkpointContainer(request: v1.CheckpointContainerRequest): Promise<v1.CheckpointContainerResponse> {
    this.#context.container(request.containerId);
    throw criError('unimplemented', 'checkpoint container: the embedded runtime has no checkpoint support');
  }

  async containerStats(request: v1.ContainerStatsRequest): Promise<v1.ContainerStatsResponse> {
    return { stats: this.#stats.container(this.#context.container(request.containerId)) };
  }

  async listContainerStats(request: v1.ListContainerStatsRequest): Promise<v1.ListContainerStatsResponse> {
    return { stats: this.#stats.listContainers(request.filter) };
  }

  async podSandboxStats(request: v1.PodSandboxStatsRequest): Promise<v1.PodSandboxStatsResponse> {
    return { stats: this.#stats.sandbox(this.#context.sandbox(request.podSandboxId)) };
  }

  async listPodSandboxStats(request: v1.ListPodSandboxStatsRequest): Promise<v1.ListPodSandboxStatsResponse> {
    return { stats: this.#stats.listSandboxes(request.filter) };
  }

  async listMetricDescriptors(_request: v1.ListMetricDescriptorsRequest): Promise<v1.ListMetricDescriptorsResponse> {
    return { descriptors: this.#stats.metricDescriptors() };
  }

  async listPodSandboxMetrics(_request: v1.ListPodSandboxMetricsRequest): Promise<v1.ListPodSandboxMetricsResponse> {
    return { podMetrics: await this.#stats.sandboxMetrics() };
  }

  containerEvents(signal: AbortSignal): AsyncIterable<v1.ContainerEventResponse> {
    return runtimeEvents(this.#context, signal);
  }
}
