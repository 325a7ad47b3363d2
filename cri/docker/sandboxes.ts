import { existsSync } from 'node:fs';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { criError, isCriCode, unlessGone } from '../contract/cri-error.js';
import { checkRunAs } from '../contract/check-security.js';
import { checkSysctls } from '../contract/check-sysctls.js';
import type { SandboxNetworkRequest } from '../contract/sandbox-network.js';
import { checkHandler } from './check-handler.js';
import { dockerTimeNanos, type InspectedContainer, type ListedContainer } from './docker-types.js';
import {
  dockerLabels,
  fromDockerLabels,
  hasLabels,
  sandboxName,
  sandboxType,
  storedConfig,
  toDockerLabels,
  type StoredSandboxConfig,
} from './names-and-labels.js';
import { sandboxModes } from './namespace-modes.js';
import type { DockerContext } from './options.js';
import { refuseUnsupportedSandbox } from './refuse-unsupported.js';
import { sandboxCommand } from './sandbox-image.js';
import { securityOptions } from './security-options.js';

/** How long the undo of a sandbox that could not be made may take. */
const undoMs = 30_000;
const pauseOomScore = -998;

export interface FoundSandbox {
  readonly inspected: InspectedContainer;
  readonly config: StoredSandboxConfig;
  readonly name: string;
}

export async function runSandbox(
  context: DockerContext,
  request: v1.RunPodSandboxRequest,
  signal: AbortSignal,
): Promise<string> {
  const { config } = request;
  const { metadata } = config ?? {};
  if (!config || !metadata?.name || !metadata.namespace || !metadata.uid) {
    throw criError('invalid-argument', 'run sandbox: metadata needs name, namespace and uid');
  }
  checkRunAs(`run sandbox ${metadata.name}`, config.linux?.securityContext);
  checkSysctls(`run sandbox ${metadata.name}`, config.linux?.sysctls ?? {}, namespacesOf(config));
  refuseUnsupportedSandbox(config);
  await checkHandler(context.api, request.runtimeHandler, 'run sandbox', signal);
  const name = sandboxName(metadata);
  // Docker says so too, but only after its files were made.
  if (!/^[\w.-]+$/.test(name)) {
    throw criError(
      'invalid-argument',
      `run sandbox ${name}: Docker has no names with other than letters, digits, _, . and -`,
    );
  }
  const id = await createSandbox(context, config, name, request.runtimeHandler ?? '', signal);
  try {
    await context.api.call(
      {
        method: 'POST',
        path: `/containers/${id}/start`,
        verb: `start sandbox ${name}`,
        subject: { podUid: metadata.uid },
      },
      signal,
    );
    await attachNetwork(context, id, name, config, signal);
    return id;
  } catch (err) {
    // Not on the caller's signal: what was made must go whatever ended the making.
    const undo = AbortSignal.timeout(undoMs);
    await removeSandbox(context, id, undo).catch((undoErr: unknown) => {
      context.deps.log.warn({ sandboxId: id, err: undoErr }, 'a sandbox that could not be made is left, not ready');
    });
    throw err;
  }
}

async function createSandbox(
  context: DockerContext,
  config: v1.PodSandboxConfig,
  name: string,
  runtimeHandler: string,
  signal: AbortSignal,
): Promise<string> {
  const create = {
    method: 'POST',
    path: '/containers/create',
    query: { name },
    verb: `create sandbox ${name}`,
    subject: { podUid: config.metadata?.uid },
  } as const;
  try {
    const body = await sandboxBody(context, config, name, runtimeHandler);
    return (await context.api.call<{ Id: string }>({ ...create, body }, signal)).Id;
  } catch (err) {
    // Of a name that is taken they are another's.
    if (!isCriCode(err, 'already-exists')) await context.files.remove(name);
    throw err;
  }
}

function namespacesOf(config: v1.PodSandboxConfig): Record<'network' | 'ipc', 'POD' | 'NODE'> {
  const { network, ipc } = config.linux?.securityContext?.namespaceOptions ?? {};
  return { network: network === 'NODE' ? 'NODE' : 'POD', ipc: ipc === 'NODE' ? 'NODE' : 'POD' };
}

async function sandboxBody(
  context: DockerContext,
  config: v1.PodSandboxConfig,
  name: string,
  runtimeHandler: string,
): Promise<object> {
  const security = config.linux?.securityContext ?? {};
  const namespaces = security.namespaceOptions ?? {};
  const stored: StoredSandboxConfig = {
    metadata: config.metadata ?? {},
    hostname: config.hostname ?? '',
    logDirectory: config.logDirectory ?? '',
    runtimeHandler,
    namespaces,
    privileged: security.privileged ?? false,
  };
  const resolvConf = await context.files.writeResolvConf(name, config.dnsConfig);
  const onHost = namespaces.network === 'NODE';
  return {
    Image: context.sandboxImage,
    Entrypoint: sandboxCommand,
    ...(onHost ? {} : { Hostname: config.hostname ?? '' }),
    Labels: toDockerLabels(config, { [dockerLabels.type]: sandboxType }, stored),
    HostConfig: {
      ...sandboxModes(namespaces),
      CgroupParent: config.linux?.cgroupParent ?? '',
      Sysctls: { ...(onHost ? {} : ownLoopback()), ...config.linux?.sysctls },
      Mounts: [{ Type: 'bind', Source: resolvConf, Target: '/etc/resolv.conf', ReadOnly: false }],
      SecurityOpt: await securityOptions({ ...security, privileged: false }),
      OomScoreAdj: Math.max(pauseOomScore, context.lowestOomScore),
      ReadonlyRootfs: true,
      LogConfig: { Type: 'none', Config: {} },
      ...(runtimeHandler && { Runtime: runtimeHandler }),
    },
  };
}

const withoutIpv6 = 'net.ipv6.conf.all.disable_ipv6';

/** Docker takes IPv6 out of a container without a network, and who is to listen on `localhost` may find that ::1 is nobody's. */
function ownLoopback(): Readonly<Record<string, string>> {
  return existsSync(`/proc/sys/${withoutIpv6.replaceAll('.', '/')}`) ? { [withoutIpv6]: '0' } : {};
}

async function attachNetwork(
  context: DockerContext,
  id: string,
  name: string,
  config: v1.PodSandboxConfig,
  signal: AbortSignal,
): Promise<void> {
  if (config.linux?.securityContext?.namespaceOptions?.network === 'NODE') {
    return await context.files.writeNetwork(name, { ips: [] });
  }
  const { NetworkSettings, State } = await inspectById(context, id, `inspect ${id}`, signal);
  const { ips } = await context.deps.network.attach(
    {
      sandboxId: id,
      netnsPath: NetworkSettings.SandboxKey || `/proc/${State.Pid}/ns/net`,
      ...networkRequest(config),
    },
    signal,
  );
  await context.files.writeNetwork(name, { ips });
}

function networkRequest(config: v1.PodSandboxConfig): Omit<SandboxNetworkRequest, 'sandboxId' | 'netnsPath'> {
  const { name = '', namespace = '', uid = '' } = config.metadata ?? {};
  return {
    pod: { namespace, name, uid },
    portMappings: (config.portMappings ?? [])
      .filter(({ hostPort }) => (hostPort ?? 0) > 0)
      .map(({ protocol = 'TCP', containerPort = 0, hostPort = 0, hostIp = '' }) => ({
        protocol: protocol.toLowerCase() as 'tcp' | 'udp' | 'sctp',
        containerPort,
        hostPort,
        hostIp,
      })),
    annotations: config.annotations ?? {},
    dns: {
      servers: config.dnsConfig?.servers ?? [],
      searches: config.dnsConfig?.searches ?? [],
      options: config.dnsConfig?.options ?? [],
    },
    cgroupPath: config.linux?.cgroupParent ?? '',
  };
}

/** Docker takes ids that are cut short, and names, which are no ids here. */
export async function inspectById(
  context: DockerContext,
  id: string,
  verb: string,
  signal: AbortSignal,
): Promise<InspectedContainer> {
  const path = `/containers/${encodeURIComponent(id)}/json`;
  const found = await context.api.call<InspectedContainer>({ method: 'GET', path, verb }, signal);
  if (!found.Id.startsWith(id)) throw criError('not-found', `${verb}: that is a name, not an id`);
  return found;
}

/** By its id, which may be cut short; `not-found` for what is not a sandbox of ours. */
export async function findSandbox(
  context: DockerContext,
  id: string | undefined,
  signal: AbortSignal,
): Promise<FoundSandbox> {
  if (!id) throw criError('invalid-argument', 'find sandbox: the id is empty');
  const inspected = await inspectById(context, id, `find sandbox ${id}`, signal);
  const config = storedConfig<StoredSandboxConfig>(inspected.Config.Labels);
  if (config === undefined || inspected.Config.Labels[dockerLabels.type] !== sandboxType) {
    throw criError('not-found', `find sandbox ${id}: that container is not a sandbox`);
  }
  return { inspected, config, name: sandboxName(config.metadata) };
}

export async function stopSandbox(context: DockerContext, id: string | undefined, signal: AbortSignal): Promise<void> {
  const found = await unlessGone(findSandbox(context, id, signal));
  if (found === undefined) {
    // Someone removed the container behind our back; its network may still be there.
    if (id) await context.deps.network.detach(id, signal);
    return;
  }
  const members = await listMembers(context, found.inspected.Id, signal);
  await Promise.all(members.filter(({ State }) => State === 'running').map(({ Id }) => kill(context, Id, signal)));
  if (found.config.namespaces.network !== 'NODE') await context.deps.network.detach(found.inspected.Id, signal);
  await context.files.forgetNetwork(found.name);
  if (found.inspected.State.Running) await kill(context, found.inspected.Id, signal);
}

export async function removeSandbox(
  context: DockerContext,
  id: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  await stopSandbox(context, id, signal);
  const found = await unlessGone(findSandbox(context, id, signal));
  if (found === undefined) return;
  const members = await listMembers(context, found.inspected.Id, signal);
  for (const { Id } of members) {
    await context.logs.finish(Id, signal);
    await removeByForce(context, Id, signal);
    await context.logs.forget(Id);
  }
  await removeByForce(context, found.inspected.Id, signal);
  await context.files.remove(found.name);
}

async function listMembers(context: DockerContext, sandboxId: string, signal: AbortSignal): Promise<ListedContainer[]> {
  const filters = { label: [`${dockerLabels.sandboxId}=${sandboxId}`] };
  return await context.api.call<ListedContainer[]>(
    { method: 'GET', path: '/containers/json', query: { all: true, filters }, verb: 'list containers' },
    signal,
  );
}

/** At once, without the stop signal; resolves when it has ended. */
export async function kill(context: DockerContext, id: string, signal: AbortSignal): Promise<void> {
  const request = {
    method: 'POST',
    path: `/containers/${id}/kill`,
    query: { signal: 'SIGKILL' },
    verb: `kill ${id}`,
    subject: { object: id },
  } as const;
  try {
    await context.api.call(request, signal);
  } catch (err) {
    // It is gone, or does not run any more.
    if (!isCriCode(err, 'not-found') && !isCriCode(err, 'failed-precondition')) throw err;
  }
}

export async function removeByForce(context: DockerContext, id: string, signal: AbortSignal): Promise<void> {
  const remove = {
    method: 'DELETE',
    path: `/containers/${id}`,
    query: { force: true, v: true },
    verb: `remove ${id}`,
    subject: { object: id },
  } as const;
  try {
    await unlessGone(context.api.call(remove, signal));
  } catch (err) {
    if (!isCriCode(err, 'failed-precondition')) throw err;
    // Somebody else is at it, and Docker lets only one.
    const wait = {
      method: 'POST',
      path: `/containers/${id}/wait`,
      query: { condition: 'removed' },
      verb: `wait for the removal of ${id}`,
      changesNothing: true,
    } as const;
    await unlessGone(context.api.call(wait, signal));
  }
}

export async function sandboxStatus(
  context: DockerContext,
  { inspected, config, name }: FoundSandbox,
): Promise<v1.PodSandboxStatus> {
  const record = await context.files.readNetwork(name);
  const [ip = '', ...more] = record?.ips ?? [];
  return {
    id: inspected.Id,
    metadata: config.metadata,
    state: inspected.State.Running && record !== undefined ? 'SANDBOX_READY' : 'SANDBOX_NOTREADY',
    createdAt: dockerTimeNanos(inspected.Created),
    network: { ip, additionalIps: more.map((ip) => ({ ip })) },
    linux: { namespaces: { options: config.namespaces } },
    ...fromDockerLabels(inspected.Config.Labels),
    runtimeHandler: config.runtimeHandler,
  };
}

export async function listSandboxes(
  context: DockerContext,
  filter: v1.PodSandboxFilter | null | undefined,
  signal: AbortSignal,
): Promise<v1.PodSandbox[]> {
  const filters = { label: [`${dockerLabels.type}=${sandboxType}`] };
  const listed = await context.api.call<ListedContainer[]>(
    { method: 'GET', path: '/containers/json', query: { all: true, filters }, verb: 'list sandboxes' },
    signal,
  );
  const sandboxes = await Promise.all(listed.map(async (item) => await toSandbox(context, item)));
  return sandboxes
    .filter((sandbox) => sandbox !== undefined)
    .filter(
      ({ id = '', state, labels = {} }) =>
        id.startsWith(filter?.id ?? '') &&
        (filter?.state === null || filter?.state === undefined || filter.state.state === state) &&
        hasLabels(labels, filter?.labelSelector),
    );
}

async function toSandbox(context: DockerContext, item: ListedContainer): Promise<v1.PodSandbox | undefined> {
  const config = storedConfig<StoredSandboxConfig>(item.Labels);
  if (config === undefined) return undefined;
  const ready =
    item.State === 'running' && (await context.files.readNetwork(sandboxName(config.metadata))) !== undefined;
  return {
    id: item.Id,
    metadata: config.metadata,
    state: ready ? 'SANDBOX_READY' : 'SANDBOX_NOTREADY',
    createdAt: item.Created * 1e9,
    ...fromDockerLabels(item.Labels),
    runtimeHandler: config.runtimeHandler,
  };
}
