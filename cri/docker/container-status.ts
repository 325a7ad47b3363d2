import type * as v1 from '../../proto/generated/cri-v1.js';
import { criSignal, signalNumber } from '../contract/signals.js';
import { dockerTimeNanos, type InspectedContainer, type InspectedImage, type ListedContainer } from './docker-types.js';
import { unlessGone } from '../contract/cri-error.js';
import { findContainer } from './find-container.js';
import { findImage, fullName } from './images.js';
import {
  containerType,
  dockerLabels,
  fromDockerLabels,
  hasLabels,
  storedConfig,
  type StoredContainerConfig,
} from './names-and-labels.js';
import type { DockerContext } from './options.js';

export const idLength = 64;
/** As with the other runtimes. */
const startFailedCode = 128;

export async function listContainers(
  context: DockerContext,
  filter: v1.ContainerFilter | null | undefined,
  signal: AbortSignal,
): Promise<v1.Container[]> {
  const label = [`${dockerLabels.type}=${containerType}`];
  const { podSandboxId = '' } = filter ?? {};
  // Docker compares labels as a whole: an id that was cut short is left for later.
  if (podSandboxId.length >= idLength) label.push(`${dockerLabels.sandboxId}=${podSandboxId}`);
  const listed = await context.api.call<ListedContainer[]>(
    { method: 'GET', path: '/containers/json', query: { all: true, filters: { label } }, verb: 'list containers' },
    signal,
  );
  const items = await Promise.all(listed.map(async (item) => await toContainer(context, item, signal)));
  return items
    .flat()
    .filter(
      ({ id = '', podSandboxId: sandboxId = '', state, labels = {} }) =>
        id.startsWith(filter?.id ?? '') &&
        sandboxId.startsWith(podSandboxId) &&
        (filter?.state === null || filter?.state === undefined || filter.state.state === state) &&
        hasLabels(labels, filter?.labelSelector),
    );
}

async function toContainer(
  context: DockerContext,
  item: ListedContainer,
  signal: AbortSignal,
): Promise<readonly v1.Container[]> {
  const config = storedConfig<StoredContainerConfig>(item.Labels);
  if (config === undefined) return [];
  const state = item.State === 'created' ? await createdOrFailed(context, item.Id, signal) : criState(item.State);
  if (state === undefined) return [];
  return [
    {
      id: item.Id,
      podSandboxId: item.Labels[dockerLabels.sandboxId] ?? '',
      metadata: config.metadata,
      image: config.image,
      imageRef: item.ImageID,
      imageId: item.ImageID,
      state,
      createdAt: item.Created * 1e9,
      ...fromDockerLabels(item.Labels),
    },
  ];
}

/** A list does not tell one that waits for its start from one whose start failed; undefined when it is gone meanwhile. */
async function createdOrFailed(
  context: DockerContext,
  id: string,
  signal: AbortSignal,
): Promise<v1.ContainerState | undefined> {
  const found = await unlessGone(findContainer(context, id, signal));
  return found && endState(found);
}

function criState(state: string): v1.ContainerState {
  switch (state) {
    case 'created':
      return 'CONTAINER_CREATED';
    case 'running':
    case 'paused':
    case 'restarting':
      return 'CONTAINER_RUNNING';
    case 'exited':
    case 'dead':
      return 'CONTAINER_EXITED';
    default:
      return 'CONTAINER_UNKNOWN';
  }
}

export async function containerStatus(
  context: DockerContext,
  request: v1.ContainerStatusRequest,
  signal: AbortSignal,
): Promise<v1.ContainerStatusResponse> {
  const found = await findContainer(context, request.containerId, signal);
  const config = storedConfig<StoredContainerConfig>(found.Config.Labels);
  const state = endState(found);
  // Whoever sees that it ended may read its log at once.
  if (state === 'CONTAINER_EXITED') await context.logs.finish(found.Id, signal);
  const image = await findImage(context.api, found.Image, signal);
  return {
    status: {
      id: found.Id,
      metadata: config?.metadata ?? {},
      state,
      createdAt: dockerTimeNanos(found.Created),
      startedAt: dockerTimeNanos(found.State.StartedAt),
      finishedAt: 0,
      exitCode: 0,
      reason: '',
      message: '',
      ...(state === 'CONTAINER_EXITED' && ending(found)),
      image: config?.image ?? {},
      imageRef: imageRef(image) ?? found.Image,
      imageId: found.Image,
      ...fromDockerLabels(found.Config.Labels),
      mounts: config?.mounts ?? [],
      logPath: found.Config.Labels[dockerLabels.logPath] ?? '',
      resources: { linux: statusResources(found.HostConfig) },
      stopSignal: criSignal(signalNumber(found.Config.StopSignal || 'SIGTERM') ?? 0) as v1.Signal,
    },
    info: request.verbose === true ? containerInfo(found) : {},
  };
}

/** Where other runtimes have the process, for those who enter a namespace from outside. */
function containerInfo(found: InspectedContainer): Record<string, string> {
  const sandboxID = found.Config.Labels[dockerLabels.sandboxId];
  return { info: JSON.stringify({ sandboxID, pid: found.State.Pid, inspect: found }) };
}

/** Docker leaves a container whose start failed "created"; it will never run. */
export function endState(found: InspectedContainer): v1.ContainerState {
  const failed = found.State.Status === 'created' && found.State.ExitCode !== 0;
  return failed ? 'CONTAINER_EXITED' : criState(found.State.Status);
}

function ending({
  Created,
  State,
}: InspectedContainer): Required<Pick<v1.ContainerStatus, 'finishedAt' | 'exitCode' | 'reason' | 'message'>> {
  const { Status, OOMKilled, ExitCode, Error: message, FinishedAt } = State;
  // Whatever Docker made of it (126, 127): nothing has run. It keeps no time of that.
  if (Status === 'created') {
    return { finishedAt: dockerTimeNanos(Created), exitCode: startFailedCode, reason: 'StartError', message };
  }
  const reason = OOMKilled ? 'OOMKilled' : ExitCode === 0 ? 'Completed' : 'Error';
  return { finishedAt: dockerTimeNanos(FinishedAt), exitCode: ExitCode, reason, message };
}

function imageRef(image: InspectedImage | undefined): string | undefined {
  const [digest] = image?.RepoDigests ?? [];
  return digest === undefined ? image?.Id : fullName(digest);
}

export function statusResources(host: InspectedContainer['HostConfig']): v1.LinuxContainerResources {
  return {
    cpuShares: host.CpuShares,
    cpuPeriod: host.CpuPeriod,
    cpuQuota: host.CpuQuota,
    cpusetCpus: host.CpusetCpus,
    cpusetMems: host.CpusetMems,
    memoryLimitInBytes: host.Memory,
    memorySwapLimitInBytes: host.MemorySwap,
    oomScoreAdj: host.OomScoreAdj,
  };
}
