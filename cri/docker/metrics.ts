import { unlessGone } from '../contract/cri-error.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { readCgroupStats } from '../stats/cgroup-stats.js';
import type { LayerFilesystem, MetricSource } from '../stats/container-metrics.js';
import { layerFilesystem } from '../stats/layer-filesystem.js';
import { readMetricCounters } from '../stats/metric-counters.js';
import { podMetrics } from '../stats/metrics.js';
import { cgroupOf, countersOf } from './cgroups.js';
import { listContainers, statusResources } from './container-status.js';
import { dockerTimeNanos, type InspectedContainer } from './docker-types.js';
import { findContainer } from './find-container.js';
import { storedConfig, type StoredContainerConfig } from './names-and-labels.js';
import type { DockerContext } from './options.js';
import { findSandbox, listSandboxes } from './sandboxes.js';
import { interfacesOf } from './stats.js';

/**
 * cAdvisor's metrics of every pod that is ready, from the cgroups of its containers: Docker runs them on this machine, and does not count half
 * of it itself.
 */
export async function sandboxMetrics(context: DockerContext, signal: AbortSignal): Promise<v1.PodSandboxMetrics[]> {
  const sandboxes = await listSandboxes(context, { state: { state: 'SANDBOX_READY' } }, signal);
  const all = await Promise.all(sandboxes.map(({ id = '' }) => unlessGone(metricsOf(context, id, signal))));
  return all.filter((one) => one !== undefined);
}

async function metricsOf(context: DockerContext, id: string, signal: AbortSignal): Promise<v1.PodSandboxMetrics> {
  const found = await findSandbox(context, id, signal);
  const { inspected, config } = found;
  const [interfaces, listed] = await Promise.all([
    interfacesOf(found),
    listContainers(context, { podSandboxId: id, state: { state: 'CONTAINER_RUNNING' } }, signal),
  ]);
  await context.layers.lookAtNew(
    listed.map((one) => one.id ?? ''),
    signal,
  );
  const containers = await Promise.all(
    listed.map(async (one) => {
      const container = await unlessGone(findContainer(context, one.id, signal));
      return container && (await sourceOf(context, container));
    }),
  );
  const sources = containers.filter((one) => one !== undefined);
  const own = await countersOf(context, inspected.State.Pid);
  const processes = [own, ...sources.map(({ cgroup }) => cgroup)]
    .map((counted) => counted?.processes ?? 0)
    .reduce((total, count) => total + count, 0);
  const { name = '', namespace = '' } = config.metadata;
  return podMetrics({ id, metadata: { name, namespace } }, processes, interfaces, sources, nowMs(context) * 1e6);
}

/** Undefined for one that has ended. */
async function sourceOf(context: DockerContext, found: InspectedContainer): Promise<MetricSource | undefined> {
  const { Id: id, State, Config, HostConfig, Image: imageId, Created } = found;
  const path = await cgroupOf(State.Pid);
  const cgroup = path === undefined ? undefined : readCgroupStats(context.cgroups, path);
  if (path === undefined || cgroup === undefined) return undefined;
  const config = storedConfig<StoredContainerConfig>(Config.Labels);
  const layer = context.layers.usage(id);
  return {
    record: {
      ...{ id, imageId, metadata: { name: config?.metadata.name ?? '' }, image: config?.image ?? {} },
      resources: statusResources(HostConfig),
      createdAtMs: dockerTimeNanos(Created) / 1e6,
      startedAtMs: dockerTimeNanos(State.StartedAt) / 1e6,
    },
    cgroup,
    counters: readMetricCounters(context.cgroups, path, State.Pid),
    layer: layer === undefined ? undefined : { bytes: layer.usedBytes?.value ?? 0 },
    filesystem: filesystemOf(layer),
    nowMs: nowMs(context),
  };
}

const nowMs = ({ deps }: DockerContext): number => deps.clock.now();

/** Not known before Docker has counted layers for the first time. */
function filesystemOf(layer: v1.FilesystemUsage | undefined): LayerFilesystem | undefined {
  const folder = layer?.fsId?.mountpoint;
  return folder === undefined ? undefined : layerFilesystem(folder);
}
