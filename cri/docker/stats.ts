import { readFile } from 'node:fs/promises';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { unlessGone } from '../contract/cri-error.js';
import { parseNetDev, type InterfaceCounters } from '../../base/net-dev.js';
import type { CgroupStats } from '../stats/cgroup-stats.js';
import { sumOfCgroups } from '../stats/cri-usage.js';
import { networkUsage } from '../stats/network-stats.js';
import { countersOf } from './cgroups.js';
import { listContainers } from './container-status.js';
import type { InspectedContainer } from './docker-types.js';
import { findContainer } from './find-container.js';
import { fromDockerLabels, storedConfig, type StoredContainerConfig } from './names-and-labels.js';
import type { DockerContext } from './options.js';
import { findSandbox, listSandboxes, type FoundSandbox } from './sandboxes.js';

/** From the cgroup: Docker runs containers on this machine, and leaves out half of what CRI has words for. */
export async function containerStats(
  context: DockerContext,
  id: string | undefined,
  signal: AbortSignal,
): Promise<v1.ContainerStats> {
  return (await countedContainer(context, await findContainer(context, id, signal))).stats;
}

interface CountedContainer {
  readonly stats: v1.ContainerStats;
  /** Undefined for one that does not run. */
  readonly counters: CgroupStats | undefined;
}

async function countedContainer(context: DockerContext, found: InspectedContainer): Promise<CountedContainer> {
  const { Id: id, Config, State } = found;
  const attributes = {
    id,
    metadata: storedConfig<StoredContainerConfig>(Config.Labels)?.metadata ?? {},
    ...fromDockerLabels(Config.Labels),
  };
  const writableLayer = context.layers.usage(id);
  const counters = State.Running ? await countersOf(context, State.Pid) : undefined;
  const used = counters && context.usage.ofContainer(id, counters, nowNanos(context));
  return { stats: { attributes, writableLayer, ...used }, counters };
}

const nowNanos = ({ deps }: DockerContext): number => deps.clock.now() * 1e6;

export async function listContainerStats(
  context: DockerContext,
  filter: v1.ContainerStatsFilter | null | undefined,
  signal: AbortSignal,
): Promise<v1.ContainerStats[]> {
  return (await listCounted(context, filter, signal)).map(({ stats }) => stats);
}

/** What ends while it is counted is left out. */
async function listCounted(
  context: DockerContext,
  filter: v1.ContainerStatsFilter | null | undefined,
  signal: AbortSignal,
): Promise<CountedContainer[]> {
  const running = await listContainers(context, { ...filter, state: { state: 'CONTAINER_RUNNING' } }, signal);
  const all = await Promise.all(
    running.map(async ({ id }) => {
      const found = await unlessGone(findContainer(context, id, signal));
      return found && (await countedContainer(context, found));
    }),
  );
  return all.flatMap((one) => (one?.counters === undefined ? [] : [one]));
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
  const all = await Promise.all(sandboxes.map(async ({ id }) => await unlessGone(sandboxStats(context, id, signal))));
  return all.filter((stats) => stats !== undefined);
}

export async function sandboxStats(
  context: DockerContext,
  podSandboxId: string | undefined,
  signal: AbortSignal,
): Promise<v1.PodSandboxStats> {
  const found = await findSandbox(context, podSandboxId, signal);
  const { Id: id, Config, State } = found.inspected;
  return {
    attributes: { id, metadata: found.config.metadata, ...fromDockerLabels(Config.Labels) },
    // Of one that is stopped there is nothing to count.
    linux: State.Running ? await sandboxUsage(context, found, signal) : {},
  };
}

/** Of the sandbox's own container and those that run in it together: the cgroup they have for a parent need not be this pod's alone. */
async function sandboxUsage(
  context: DockerContext,
  found: FoundSandbox,
  signal: AbortSignal,
): Promise<v1.LinuxPodSandboxStats> {
  const { Id: id, State } = found.inspected;
  const [own, interfaces, containers] = await Promise.all([
    countersOf(context, State.Pid),
    interfacesOf(found),
    listCounted(context, { podSandboxId: id }, signal),
  ]);
  const timestamp = nowNanos(context);
  const parts = [own, ...containers.map(({ counters }) => counters)].filter((one) => one !== undefined);
  const total = sumOfCgroups(parts);
  return {
    ...(total && context.usage.ofPod(id, total, timestamp)),
    ...(interfaces.length > 0 && { network: networkUsage(interfaces, timestamp) }),
    containers: containers.map(({ stats }) => stats),
  };
}

/** Counted in the sandbox's network by the kernel: to Docker it has none. */
export async function interfacesOf({ inspected, config }: FoundSandbox): Promise<InterfaceCounters[]> {
  if (config.namespaces.network === 'NODE' || !inspected.State.Running) return [];
  // It may end just now.
  return parseNetDev(await readFile(`/proc/${inspected.State.Pid}/net/dev`, 'utf8').catch(() => ''));
}
