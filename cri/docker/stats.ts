import { readFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { isCriCode } from '../contract/cri-error.js';
import { parseNetDev, type InterfaceCounters } from '../../base/net-dev.js';
import { networkUsage } from '../stats/network-stats.js';
import { listContainers } from './container-status.js';
import { findContainer } from './find-container.js';
import { dockerTimeNanos, type DockerStats } from './docker-types.js';
import { fromDockerLabels, storedConfig, type StoredContainerConfig } from './names-and-labels.js';
import type { DockerContext } from './options.js';
import { findSandbox, listSandboxes } from './sandboxes.js';

export async function containerStats(
  context: DockerContext,
  id: string | undefined,
  signal: AbortSignal,
): Promise<v1.ContainerStats> {
  const found = await findContainer(context, id, signal);
  const attributes = {
    id: found.Id,
    metadata: storedConfig<StoredContainerConfig>(found.Config.Labels)?.metadata ?? {},
    ...fromDockerLabels(found.Config.Labels),
  };
  // Of what does not run Docker tells zeros.
  if (!found.State.Running) return { attributes, writableLayer: context.layers.usage(found.Id) };
  return (await statsOf(context, attributes, signal)).stats;
}

export async function listContainerStats(
  context: DockerContext,
  filter: v1.ContainerStatsFilter | null | undefined,
  signal: AbortSignal,
): Promise<v1.ContainerStats[]> {
  return (await listCounted(context, filter, signal)).map(({ stats }) => stats);
}

interface CountedContainer {
  readonly stats: v1.ContainerStats;
  readonly processes: number;
}

async function listCounted(
  context: DockerContext,
  filter: v1.ContainerStatsFilter | null | undefined,
  signal: AbortSignal,
): Promise<CountedContainer[]> {
  const running = await listContainers(context, { ...filter, state: { state: 'CONTAINER_RUNNING' } }, signal);
  const all = await Promise.all(
    running.map(
      async ({ id = '', metadata, labels, annotations }) =>
        await ifThere(async () => await statsOf(context, { id, metadata, labels, annotations }, signal)),
    ),
  );
  return all.filter((stats) => stats !== undefined);
}

async function statsOf(
  context: DockerContext,
  attributes: v1.ContainerAttributes & { readonly id: string },
  signal: AbortSignal,
): Promise<CountedContainer> {
  const { cpu, memory, processes } = await usage(context, attributes.id, signal);
  return { stats: { attributes, cpu, memory, writableLayer: context.layers.usage(attributes.id) }, processes };
}

export async function listSandboxStats(
  context: DockerContext,
  filter: v1.PodSandboxStatsFilter | null | undefined,
  signal: AbortSignal,
): Promise<v1.PodSandboxStats[]> {
  const sandboxes = await listSandboxes(
    context,
    { id: filter?.id, labelSelector: filter?.labelSelector, state: { state: 'SANDBOX_READY' } },
    signal,
  );
  const all = await Promise.all(
    sandboxes.map(
      async ({ id = '', metadata, labels, annotations }) =>
        await ifThere(async () => ({
          attributes: { id, metadata, labels, annotations },
          linux: await sandboxUsage(context, id, signal),
        })),
    ),
  );
  return all.filter((stats) => stats !== undefined);
}

/** Of one that is stopped there is nothing to count. */
export async function sandboxStats(
  context: DockerContext,
  podSandboxId: string | undefined,
  signal: AbortSignal,
): Promise<v1.PodSandboxStats> {
  const { inspected, config } = await findSandbox(context, podSandboxId, signal);
  const { Id: id, Config, State } = inspected;
  return {
    attributes: { id, metadata: config.metadata, ...fromDockerLabels(Config.Labels) },
    linux: State.Running ? await sandboxUsage(context, id, signal) : {},
  };
}

/** Of the sandbox's own container and those that run in it together: Docker has no count of a pod. */
async function sandboxUsage(context: DockerContext, id: string, signal: AbortSignal): Promise<v1.LinuxPodSandboxStats> {
  const [own, interfaces, containers] = await Promise.all([
    usage(context, id, signal),
    interfacesOf(context, id, signal),
    listCounted(context, { podSandboxId: id }, signal),
  ]);
  const parts: Counted[] = [own, ...containers.map(({ stats }) => stats)];
  const { timestamp } = own.cpu;
  const memory = (field: MemoryCount): v1.UInt64Value => sum(parts, (part) => part.memory?.[field]);
  const processes = own.processes + containers.reduce((total, one) => total + one.processes, 0);
  return {
    cpu: { timestamp, usageCoreNanoSeconds: sum(parts, ({ cpu }) => cpu?.usageCoreNanoSeconds) },
    memory: {
      timestamp,
      usageBytes: memory('usageBytes'),
      workingSetBytes: memory('workingSetBytes'),
      rssBytes: memory('rssBytes'),
      pageFaults: memory('pageFaults'),
      majorPageFaults: memory('majorPageFaults'),
    },
    ...(interfaces.length > 0 && { network: networkUsage(interfaces, timestamp) }),
    process: { timestamp, processCount: { value: processes } },
    containers: containers.map(({ stats }) => stats),
  };
}

/** Counted in the sandbox's network by the kernel: to Docker it has none. */
export async function interfacesOf(
  context: DockerContext,
  id: string,
  signal: AbortSignal,
): Promise<InterfaceCounters[]> {
  const { inspected, config } = await findSandbox(context, id, signal);
  if (config.namespaces.network === 'NODE' || !inspected.State.Running) return [];
  // It may end just now.
  return parseNetDev(await readFile(`/proc/${inspected.State.Pid}/net/dev`, 'utf8').catch(() => ''));
}

type MemoryCount = 'usageBytes' | 'workingSetBytes' | 'rssBytes' | 'pageFaults' | 'majorPageFaults';
type Counted = Pick<v1.ContainerStats, 'cpu' | 'memory'>;

function sum(parts: readonly Counted[], of: (part: Counted) => v1.UInt64Value | null | undefined): v1.UInt64Value {
  return { value: parts.reduce((total, part) => total + (of(part)?.value ?? 0), 0) };
}

interface Usage {
  readonly cpu: v1.CpuUsage & { readonly timestamp: number };
  readonly memory: v1.MemoryUsage;
  readonly processes: number;
}

async function usage(context: DockerContext, id: string, signal: AbortSignal): Promise<Usage> {
  const stats = await context.api.call<DockerStats>(
    {
      method: 'GET',
      path: `/containers/${id}/stats`,
      query: { stream: false, 'one-shot': true },
      verb: `ask for the usage of ${id}`,
    },
    signal,
  );
  const timestamp = dockerTimeNanos(stats.read);
  const memory = stats.memory_stats ?? {};
  const detail = memory.stats ?? {};
  // cgroup v1 has the totals of the subtree beside its own; v2 has one set.
  const of = (name: string, v1Name: string): number => detail[v1Name] ?? detail[name] ?? 0;
  const { limit = 0 } = memory;
  const workingSet = Math.max(0, (memory.usage ?? 0) - of('inactive_file', 'total_inactive_file'));
  return {
    cpu: { timestamp, usageCoreNanoSeconds: { value: stats.cpu_stats?.cpu_usage?.total_usage ?? 0 } },
    memory: {
      timestamp,
      usageBytes: { value: memory.usage ?? 0 },
      workingSetBytes: { value: workingSet },
      // Without a limit Docker tells all there is.
      ...(limit > 0 && limit < totalmem() && { availableBytes: { value: Math.max(0, limit - workingSet) } }),
      rssBytes: { value: of('anon', 'total_rss') },
      pageFaults: { value: of('pgfault', 'total_pgfault') },
      majorPageFaults: { value: of('pgmajfault', 'total_pgmajfault') },
    },
    processes: stats.pids_stats?.current ?? 0,
  };
}

/** What goes while it is counted is left out. */
async function ifThere<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (err) {
    if (isCriCode(err, 'not-found')) return undefined;
    throw err;
  }
}
