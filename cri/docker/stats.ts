import type * as v1 from '../../proto/generated/cri-v1.js';
import { isCriCode } from '../contract/cri-error.js';
import { findContainer, listContainers } from './containers.js';
import { dockerTimeNanos, type DockerStats } from './docker-types.js';
import { fromDockerLabels, storedConfig, type StoredContainerConfig } from './names-and-labels.js';
import type { DockerContext } from './options.js';
import { listSandboxes } from './sandboxes.js';

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
  return { attributes, ...(await usage(context, found.Id, signal)) };
}

export async function listContainerStats(
  context: DockerContext,
  filter: v1.ContainerStatsFilter | null | undefined,
  signal: AbortSignal,
): Promise<v1.ContainerStats[]> {
  const running = await listContainers(context, { ...filter, state: { state: 'CONTAINER_RUNNING' } }, signal);
  const all = await Promise.all(
    running.map(
      async ({ id = '', metadata, labels, annotations }) =>
        await ifThere(async () => ({
          attributes: { id, metadata, labels, annotations },
          ...(await usage(context, id, signal)),
        })),
    ),
  );
  return all.filter((stats) => stats !== undefined);
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
        await ifThere(async () => {
          const own = await usage(context, id, signal);
          const containers = await listContainerStats(context, { podSandboxId: id }, signal);
          return {
            attributes: { id, metadata, labels, annotations },
            linux: {
              cpu: {
                timestamp: own.cpu?.timestamp,
                usageCoreNanoSeconds: sum([own, ...containers], ({ cpu }) => cpu?.usageCoreNanoSeconds),
              },
              memory: {
                timestamp: own.cpu?.timestamp,
                workingSetBytes: sum([own, ...containers], ({ memory }) => memory?.workingSetBytes),
              },
              containers,
            },
          };
        }),
    ),
  );
  return all.filter((stats) => stats !== undefined);
}

type Usage = Pick<v1.ContainerStats, 'cpu' | 'memory'>;

function sum(parts: readonly Usage[], of: (part: Usage) => v1.UInt64Value | null | undefined): v1.UInt64Value {
  return { value: parts.reduce((total, part) => total + (of(part)?.value ?? 0), 0) };
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
  const workingSet = Math.max(0, (memory.usage ?? 0) - of('inactive_file', 'total_inactive_file'));
  return {
    cpu: { timestamp, usageCoreNanoSeconds: { value: stats.cpu_stats?.cpu_usage?.total_usage ?? 0 } },
    memory: {
      timestamp,
      usageBytes: { value: memory.usage ?? 0 },
      workingSetBytes: { value: workingSet },
      rssBytes: { value: of('anon', 'total_rss') },
      pageFaults: { value: of('pgfault', 'total_pgfault') },
      majorPageFaults: { value: of('pgmajfault', 'total_pgmajfault') },
    },
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
