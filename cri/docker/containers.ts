import { join } from 'node:path';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { checkPrivileged } from '../contract/check-security.js';
import { criError, isCriCode } from '../contract/cri-error.js';
import { criSignal, signalNumber } from '../contract/signals.js';
import { containerBody, resources } from './container-body.js';
import { dockerTimeNanos, type InspectedContainer, type InspectedImage, type ListedContainer } from './docker-types.js';
import { limitHugepages } from './hugepages.js';
import { findImage, fullName } from './images.js';
import {
  containerName,
  containerType,
  dockerLabels,
  fromDockerLabels,
  hasLabels,
  storedConfig,
  type StoredContainerConfig,
} from './names-and-labels.js';
import type { DockerContext } from './options.js';
import { findSandbox, inspectById, kill, removeByForce, unlessGone } from './sandboxes.js';

const idLength = 64;
const longestTimerMs = 2 ** 31 - 1;

export async function createContainer(
  context: DockerContext,
  request: v1.CreateContainerRequest,
  signal: AbortSignal,
): Promise<string> {
  const { config } = request;
  if (!config?.metadata?.name) throw criError('invalid-argument', 'create container: metadata.name is empty');
  const sandbox = await findSandbox(context, request.podSandboxId, signal);
  if (!sandbox.inspected.State.Running) {
    throw criError('failed-precondition', `create container ${config.metadata.name}: its sandbox does not run`);
  }
  const security = config.linux?.securityContext ?? {};
  checkPrivileged(request, sandbox.config.privileged);
  await checkTarget(context, config.metadata.name, security.namespaceOptions, sandbox.inspected.Id, signal);
  const image = await findImage(context.api, config.image?.image, signal);
  if (image === undefined) {
    throw criError(
      'not-found',
      `create container ${config.metadata.name}: there is no image ${config.image?.image ?? ''}`,
    );
  }
  const { logDirectory } = sandbox.config;
  const logPath = logDirectory && config.logPath ? join(logDirectory, config.logPath) : '';
  const body = await containerBody(context, {
    sandboxId: sandbox.inspected.Id,
    sandbox: sandbox.config,
    sandboxName: sandbox.name,
    config,
    cgroupParent: sandbox.inspected.HostConfig.CgroupParent,
    imageId: image.Id,
    logPath,
  });
  const name = containerName(config.metadata, sandbox.config.metadata);
  const subject = { podUid: sandbox.config.metadata.uid, container: config.metadata.name };
  const { Id } = await context.api.call<{ Id: string }>(
    { method: 'POST', path: '/containers/create', query: { name }, body, verb: `create container ${name}`, subject },
    signal,
  );
  return Id;
}

/** Processes are seen of containers of the same pod only. */
async function checkTarget(
  context: DockerContext,
  name: string,
  options: v1.NamespaceOption | null | undefined,
  sandboxId: string,
  signal: AbortSignal,
): Promise<void> {
  if (options?.pid !== 'TARGET') return;
  const target = await findContainer(context, options.targetId, signal);
  if (target.Config.Labels[dockerLabels.sandboxId] !== sandboxId) {
    throw criError('invalid-argument', `create container ${name}: target ${target.Id} is of another sandbox`);
  }
}

export async function startContainer(
  context: DockerContext,
  id: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const found = await findContainer(context, id, signal);
  if (found.State.Running) throw criError('failed-precondition', `start container ${found.Id}: it runs already`);
  if (found.State.Status !== 'created') {
    throw criError('failed-precondition', `start container ${found.Id}: it has run already`);
  }
  await context.logs.prepare(found.Config.Labels[dockerLabels.logPath] ?? '');
  await context.api.call(
    {
      method: 'POST',
      path: `/containers/${found.Id}/start`,
      verb: `start container ${found.Id}`,
      subject: { object: found.Id },
    },
    signal,
  );
  await limitStarted(context, found, signal);
  context.logs.follow(found.Id);
}

/** A container that cannot be held to its limits does not run. */
async function limitStarted(context: DockerContext, created: InspectedContainer, signal: AbortSignal): Promise<void> {
  const { hugepages = [] } = storedConfig<StoredContainerConfig>(created.Config.Labels) ?? {};
  if (hugepages.length === 0) return;
  const { State } = await findContainer(context, created.Id, signal);
  try {
    if (State.Running) await limitHugepages(State.Pid, hugepages, `container ${created.Id}`);
  } catch (err) {
    await stopContainer(context, { containerId: created.Id, timeout: 0 }, signal);
    throw err;
  }
}

export async function stopContainer(
  context: DockerContext,
  request: v1.StopContainerRequest,
  signal: AbortSignal,
): Promise<void> {
  const found = await findIfThere(context, request.containerId, signal);
  if (found !== undefined) await stopFound(context, found, request.timeout ?? 0, signal);
}

async function stopFound(
  context: DockerContext,
  { Id: id, State }: InspectedContainer,
  timeout: number,
  signal: AbortSignal,
): Promise<void> {
  if (!State.Running) return;
  // To Docker no grace is the stop signal first all the same, and a negative one is one without end.
  if (timeout <= 0) return await kill(context, id, signal);
  const stop = {
    method: 'POST',
    path: `/containers/${id}/stop`,
    query: { t: timeout },
    verb: `stop container ${id}`,
    subject: { object: id },
    // A timer that is set for longer goes off at once.
    deadlineMs: Math.min(timeout * 1000 + 120_000, longestTimerMs),
  } as const;
  await unlessGone(context.api.call(stop, signal));
}

export async function removeContainer(
  context: DockerContext,
  containerId: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const found = await findIfThere(context, containerId, signal);
  // What was removed behind our back may have left what is known of its log.
  const id = found?.Id ?? containerId ?? '';
  if (found !== undefined) {
    await stopFound(context, found, 0, signal);
    await context.logs.finish(id, signal);
    await removeByForce(context, id, signal);
  }
  await context.logs.forget(id);
}

/** By its id, which may be cut short; `not-found` for sandboxes and for what others made. */
export async function findContainer(
  context: DockerContext,
  id: string | undefined,
  signal: AbortSignal,
): Promise<InspectedContainer> {
  if (!id) throw criError('invalid-argument', 'find container: the id is empty');
  const found = await inspectById(context, id, `find container ${id}`, signal);
  if (found.Config.Labels[dockerLabels.type] !== containerType) {
    throw criError('not-found', `find container ${id}: it is not a container of a pod`);
  }
  return found;
}

async function findIfThere(
  context: DockerContext,
  id: string | undefined,
  signal: AbortSignal,
): Promise<InspectedContainer | undefined> {
  try {
    return await findContainer(context, id, signal);
  } catch (err) {
    if (isCriCode(err, 'not-found')) return undefined;
    throw err;
  }
}

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
  return listed
    .flatMap((item) => toContainer(item))
    .filter(
      ({ id = '', podSandboxId: sandboxId = '', state, labels = {} }) =>
        id.startsWith(filter?.id ?? '') &&
        sandboxId.startsWith(podSandboxId) &&
        (filter?.state === null || filter?.state === undefined || filter.state.state === state) &&
        hasLabels(labels, filter?.labelSelector),
    );
}

function toContainer(item: ListedContainer): v1.Container[] {
  const config = storedConfig<StoredContainerConfig>(item.Labels);
  if (config === undefined) return [];
  return [
    {
      id: item.Id,
      podSandboxId: item.Labels[dockerLabels.sandboxId] ?? '',
      metadata: config.metadata,
      image: config.image,
      imageRef: item.ImageID,
      imageId: item.ImageID,
      state: criState(item.State),
      createdAt: item.Created * 1e9,
      ...fromDockerLabels(item.Labels),
    },
  ];
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
      finishedAt: state === 'CONTAINER_EXITED' ? dockerTimeNanos(found.State.FinishedAt) : 0,
      exitCode: state === 'CONTAINER_EXITED' ? found.State.ExitCode : 0,
      ...ending(found, state),
      image: config?.image ?? {},
      imageRef: imageRef(image) ?? found.Image,
      imageId: found.Image,
      ...fromDockerLabels(found.Config.Labels),
      mounts: config?.mounts ?? [],
      logPath: found.Config.Labels[dockerLabels.logPath] ?? '',
      resources: { linux: statusResources(found.HostConfig) },
      stopSignal: criSignal(signalNumber(found.Config.StopSignal || 'SIGTERM') ?? 0) as v1.Signal,
    },
    info: request.verbose === true ? { inspect: JSON.stringify(found), pid: String(found.State.Pid) } : {},
  };
}

/** Docker leaves a container whose start failed "created"; it will never run. */
function endState(found: InspectedContainer): v1.ContainerState {
  const failed = found.State.Status === 'created' && found.State.ExitCode !== 0;
  return failed ? 'CONTAINER_EXITED' : criState(found.State.Status);
}

function ending(found: InspectedContainer, state: v1.ContainerState): { reason: string; message: string } {
  if (state !== 'CONTAINER_EXITED') return { reason: '', message: '' };
  const { Status, OOMKilled, ExitCode, Error: message } = found.State;
  if (Status === 'created') return { reason: 'StartError', message };
  if (OOMKilled) return { reason: 'OOMKilled', message };
  return { reason: ExitCode === 0 ? 'Completed' : 'Error', message };
}

function imageRef(image: InspectedImage | undefined): string | undefined {
  const [digest] = image?.RepoDigests ?? [];
  return digest === undefined ? image?.Id : fullName(digest);
}

function statusResources(host: InspectedContainer['HostConfig']): v1.LinuxContainerResources {
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

/** A container that may swap may do so after a change of its memory too; one that may not still may not. */
function keptSwap({ Memory, MemorySwap }: InspectedContainer['HostConfig'], memory: number): number {
  return MemorySwap > Memory ? Math.max(MemorySwap, memory) : memory;
}

export async function updateResources(
  context: DockerContext,
  request: v1.UpdateContainerResourcesRequest,
  signal: AbortSignal,
): Promise<void> {
  const found = await findContainer(context, request.containerId, signal);
  const asked = request.linux ?? {};
  // Absent fields stay as they are; Docker takes zero for "unchanged", except that memory and swap belong together.
  const memory = asked.memoryLimitInBytes ?? 0;
  const { OomScoreAdj: _fixed, ...body } = resources(context, asked) as Record<string, unknown>;
  if (memory === 0) delete body['MemorySwap'];
  else if (!asked.memorySwapLimitInBytes) body['MemorySwap'] = keptSwap(found.HostConfig, memory);
  if (found.State.Running) await limitHugepages(found.State.Pid, asked.hugepageLimits ?? [], `container ${found.Id}`);
  await context.api.call(
    {
      method: 'POST',
      path: `/containers/${found.Id}/update`,
      body,
      verb: `update container ${found.Id}`,
      subject: { object: found.Id },
    },
    signal,
  );
}
