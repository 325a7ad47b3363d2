import { join } from 'node:path';
import { errorText } from '../../base/errors.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { checkPrivileged } from '../contract/check-security.js';
import { checkUnified } from '../contract/check-unified.js';
import { criError, isCriCode, unlessGone } from '../contract/cri-error.js';
import { containerBody, resources } from './container-body.js';
import { endState, idLength } from './container-status.js';
import type { InspectedContainer } from './docker-types.js';
import { findContainer } from './find-container.js';
import { cgroupVersion, writeLateLimits } from './late-limits.js';
import { findImage } from './images.js';
import { containerName, dockerLabels, storedConfig, type StoredContainerConfig } from './names-and-labels.js';
import type { DockerContext } from './options.js';
import { findSandbox, kill, removeByForce } from './sandboxes.js';

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

/** Docker takes a start of what runs for done, and starts again what has ended: of two at once, the second must see what the first made. */
export async function startContainer(
  context: DockerContext,
  id: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const key = id?.length === idLength ? id : (await findContainer(context, id, signal)).Id;
  await context.starts.run(key, async () => await startAlone(context, key, signal), signal);
}

async function startAlone(context: DockerContext, id: string, signal: AbortSignal): Promise<void> {
  const found = await findContainer(context, id, signal);
  if (found.State.Running) throw criError('failed-precondition', `start container ${found.Id}: it runs already`);
  if (endState(found) !== 'CONTAINER_CREATED') {
    throw criError('failed-precondition', `start container ${found.Id}: it has run already`);
  }
  await checkSandbox(context, found, signal);
  await context.logs.prepare(found.Config.Labels[dockerLabels.logPath] ?? '');
  const start = {
    method: 'POST',
    path: `/containers/${found.Id}/start`,
    verb: `start container ${found.Id}`,
    subject: { object: found.Id },
  } as const;
  try {
    await context.api.call(start, signal);
  } catch (err) {
    // Docker blames the request for a program that is not in the image; to the caller it is the start that failed.
    if (isCriCode(err, 'invalid-argument')) throw criError('internal', errorText(err), err);
    throw err;
  }
  await limitStarted(context, found, signal);
  context.logs.follow(found.Id);
}

/** Whose namespaces it joins must run, as Docker sees for itself; with those of the machine it would start without its pod. */
async function checkSandbox(context: DockerContext, found: InspectedContainer, signal: AbortSignal): Promise<void> {
  if (found.HostConfig.NetworkMode !== 'host') return;
  const sandbox = await findSandbox(context, found.Config.Labels[dockerLabels.sandboxId], signal);
  if (sandbox.inspected.State.Running) return;
  throw criError('failed-precondition', `start container ${found.Id}: its sandbox does not run`);
}

/** A container that cannot be held to its limits does not run. */
async function limitStarted(context: DockerContext, created: InspectedContainer, signal: AbortSignal): Promise<void> {
  const { hugepages = [], unified = {} } = storedConfig<StoredContainerConfig>(created.Config.Labels) ?? {};
  if (hugepages.length === 0 && Object.keys(unified).length === 0) return;
  const { State } = await findContainer(context, created.Id, signal);
  try {
    if (State.Running) await writeLateLimits(State.Pid, { hugepages, unified }, `container ${created.Id}`);
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
  const found = await unlessGone(findContainer(context, request.containerId, signal));
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
  const found = await unlessGone(findContainer(context, containerId, signal));
  // What was removed behind our back may have left what is known of its log.
  const id = found?.Id ?? containerId ?? '';
  if (found !== undefined) {
    await stopFound(context, found, 0, signal);
    await context.logs.finish(id, signal);
    await removeByForce(context, id, signal);
  }
  await context.logs.forget(id);
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
  checkUnified(`update container ${found.Id}`, asked, cgroupVersion());
  const late = { hugepages: asked.hugepageLimits, unified: asked.unified };
  if (found.State.Running) await writeLateLimits(found.State.Pid, late, `container ${found.Id}`);
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
