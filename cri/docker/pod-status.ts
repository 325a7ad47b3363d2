import type * as v1 from '../../proto/generated/cri-v1.js';
import { unlessGone } from '../contract/cri-error.js';
import { newestFirst } from '../contract/newest-first.js';
import { containerStatus, listContainers } from './container-status.js';
import type { DockerContext } from './options.js';
import { findSandbox, sandboxStatus, type FoundSandbox } from './sandboxes.js';

/** A sandbox with its containers. What ends while they are asked for is told as it was a moment ago, or not at all. */
export async function podStatus(
  context: DockerContext,
  request: v1.PodSandboxStatusRequest,
  signal: AbortSignal,
): Promise<v1.PodSandboxStatusResponse> {
  const timestamp = context.deps.clock.now() * 1e6;
  const found = await findSandbox(context, request.podSandboxId, signal);
  const [status, containersStatuses] = await Promise.all([
    sandboxStatus(context, found),
    containerStatuses(context, found.inspected.Id, signal),
  ]);
  return {
    status,
    info: request.verbose === true ? sandboxInfo(found.inspected) : {},
    containersStatuses,
    timestamp,
  };
}

function sandboxInfo(inspect: FoundSandbox['inspected']): Record<string, string> {
  return { info: JSON.stringify({ pid: inspect.State.Pid, inspect }) };
}

export async function containerStatuses(
  context: DockerContext,
  podSandboxId: string,
  signal: AbortSignal,
): Promise<v1.ContainerStatus[]> {
  const listed = await listContainers(context, { podSandboxId }, signal);
  const statuses = await Promise.all(
    listed.map(({ id }) =>
      unlessGone(containerStatus(context, { containerId: id }, signal)).then((answer) => answer?.status),
    ),
  );
  return newestFirst(statuses.filter((status) => status !== undefined && status !== null));
}
