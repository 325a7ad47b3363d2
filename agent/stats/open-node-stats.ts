import { readFile } from 'node:fs/promises';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { FilesystemUsage as CriFilesystemUsage } from '../../proto/generated/cri-v1.js';
import type { CriRuntime } from '../../cri/index.js';
import type { HostFacts } from '../node/host-facts.js';
import type { PodLoops } from '../podloop/pod-loops.js';
import type { DesiredPods } from '../pods/desired-pods.js';
import type { CgroupHierarchy } from '../resources/cgroups/hierarchy.js';
import type { Kubepods } from '../resources/cgroups/kubepods.js';
import { GaugeMetric, type Accumulator, type GaugeReading } from '../serving/metrics/accumulators.js';
import type { VolumeManager } from '../volumes/volume-manager.js';
import { readMachineTopology } from '../resources/topology/machine-topology.js';
import { cadvisorMetrics, type MachineFacts } from './cadvisor-metrics.js';
import { parseDiskStats } from './disk-statistics.js';
import { FilesystemUsages, type PodFilesystems, type RuntimeTaken } from './filesystem-usages.js';
import { localVolumeNames } from './local-volumes.js';
import { monitoredPod } from './monitored-pods.js';
import { readOwnCgroup } from './own-cgroup.js';
import { resourceMetrics } from './resource-metrics.js';
import { ResourceMonitor, type MonitoredPod, type SystemCgroup } from './resource-monitor.js';
import { RuntimeCgroup } from './runtime-cgroup.js';
import type { Summary } from './summary-types.js';
import { buildSummary } from './summary.js';

export interface NodeStatsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly host: HostFacts;
  readonly hierarchy: CgroupHierarchy;
  readonly runtime: CriRuntime;
  readonly countLayers?: (() => Promise<void>) | undefined;
  readonly loops: PodLoops;
  readonly desired: DesiredPods;
  readonly volumes: Pick<VolumeManager, 'usage'>;
  readonly cgroups: Kubepods;
}

/** What is served of it. */
export interface NodeStatsEndpoints {
  /** `/stats/summary`. */
  summary(options: { readonly onlyCpuAndMemory: boolean }): Promise<Summary>;
  /** `/metrics/resource`. */
  resourceMetrics(): string;
  /** `/metrics/cadvisor`. */
  cadvisorMetrics(): Promise<string>;
}

export interface NodeStats extends NodeStatsEndpoints {
  readonly monitor: ResourceMonitor;
  readonly filesystems: FilesystemUsages;
  /** For metrics. */
  readonly counts: readonly Accumulator[];
}

export interface NodeStatsOptions {
  readonly nodeName: string;
  readonly rootDir: string;
  readonly maxAgeMs: number;
  /** Cgroups by name: `--runtime-cgroups` and `systemCgroups`. */
  readonly runtimeCgroups?: string | undefined;
  readonly systemCgroups?: string | undefined;
  /** Of a runtime that is another process: where it is accounted is seen by it when nobody says. */
  readonly runtimeSocket?: string | undefined;
}

export function openNodeStats(options: NodeStatsOptions, deps: NodeStatsDeps, lifetime: AbortSignal): NodeStats {
  const { clock, log, host, runtime, loops, desired, cgroups } = deps;
  const pods = (): MonitoredPod[] =>
    desired.all().flatMap(({ pod, uid }) => {
      const seen = loops.live(uid)?.seen();
      return seen ? [monitoredPod(pod, seen, cgroups.parentOf(pod))] : [];
    });
  const monitor = new ResourceMonitor(
    { hierarchy: deps.hierarchy, system: systemCgroups(options, deps) },
    { clock, pods },
  );
  lifetime.addEventListener('abort', () => monitor[Symbol.dispose](), { once: true });
  const filesystems = new FilesystemUsages(
    options,
    {
      clock,
      log,
      runtime: runtime.runtime,
      countLayers: deps.countLayers,
      volumes: (uid, signal) => deps.volumes.usage(uid, signal),
      pods,
      imageFilesystems: async (signal) => {
        const { imageFilesystems, containerFilesystems } = await runtime.images.imageFsInfo({}, signal);
        return {
          images: imageFilesystems?.[0]?.fsId?.mountpoint,
          containers: containerFilesystems?.[0]?.fsId?.mountpoint,
          taken: { images: takenOf(imageFilesystems?.[0]), containers: takenOf(containerFilesystems?.[0]) },
        };
      },
    },
    lifetime,
  );
  let machine: Promise<MachineFacts> | undefined;
  const logs = new GaugeMetric(
    'kubelet_container_log_filesystem_used_bytes',
    "Bytes used by the container's logs on the filesystem.",
    () => pods().flatMap((pod) => logReadings(pod, filesystems.of(pod.uid))),
  );
  return {
    counts: [logs],
    monitor,
    filesystems,
    async summary({ onlyCpuAndMemory }) {
      return buildSummary({
        nodeName: options.nodeName,
        memoryBytes: host.memoryBytes,
        snapshot: monitor.snapshot(),
        filesystems: onlyCpuAndMemory ? undefined : await filesystems.node(),
        podFilesystems: ({ pod }) => filesystems.of(pod.uid),
        localVolumes: ({ pod }) => localVolumeNames(desired.get(pod.uid)?.pod ?? {}),
      });
    },
    resourceMetrics: () => resourceMetrics(monitor.snapshot()),
    async cadvisorMetrics() {
      machine ??= machineFacts(host);
      const [facts, nodeFilesystems, diskStats] = await Promise.all([
        machine,
        filesystems.node(),
        readFile('/proc/diskstats', 'utf8').catch(() => ''),
      ]);
      const snapshot = monitor.snapshot();
      return cadvisorMetrics({
        snapshot,
        details: monitor.details(snapshot),
        machine: facts,
        filesystems: nodeFilesystems,
        disks: parseDiskStats(diskStats),
        podFilesystems: ({ pod }) => filesystems.of(pod.uid),
      });
    },
  };
}

/**
 * All pods together, the agent itself with the helpers it started, the runtime where it is a process of its own, and what the configuration
 * has for the rest of the machine.
 */
function systemCgroups(options: NodeStatsOptions, deps: NodeStatsDeps): () => readonly SystemCgroup[] {
  const { hierarchy, cgroups, clock } = deps;
  const startedAt = clock.now() - process.uptime() * 1000;
  const { runtimeSocket: socketPath, runtimeCgroups, systemCgroups: misc } = options;
  const found = socketPath === undefined ? undefined : new RuntimeCgroup({ hierarchy, socketPath }, clock);
  return () => {
    // `kubeletCgroups` may have moved it.
    const own = readOwnCgroup(hierarchy);
    const runtime = runtimeCgroups ?? found?.current();
    const all: readonly (Omit<SystemCgroup, 'cgroup'> & { readonly cgroup: string | undefined })[] = [
      { name: 'kubelet', cgroup: own, startedAt },
      // Started in one place by hand, both are told as the agent.
      { name: 'runtime', cgroup: runtime === own ? undefined : runtime },
      { name: 'misc', cgroup: misc },
      { name: 'pods', cgroup: cgroups.root },
    ];
    return all.flatMap(({ cgroup, ...group }) => (cgroup === undefined ? [] : [{ ...group, cgroup }]));
  };
}

function logReadings({ uid, namespace, name }: MonitoredPod, { logs }: PodFilesystems): GaugeReading[] {
  return [...logs].map(([container, { usedBytes }]) => ({
    labels: { uid, namespace, pod: name, container },
    value: usedBytes,
  }));
}

function takenOf(usage: CriFilesystemUsage | undefined): RuntimeTaken['images'] {
  if (!usage?.usedBytes) return undefined;
  return { usedBytes: usage.usedBytes.value ?? 0, inodesUsed: usage.inodesUsed?.value ?? 0 };
}

/** Read when somebody asks: most machines are not asked. */
async function machineFacts(host: HostFacts): Promise<MachineFacts> {
  const { cpus } = await readMachineTopology();
  const { memoryBytes, swapBytes = 0, machineId, systemUuid, bootId, kernel, osImage } = host;
  return {
    ...{ memoryBytes, swapBytes, machineId, systemUuid, bootId, kernel, osImage },
    cpus: host.cpus,
    cores: new Set(cpus.map(({ core }) => core)).size,
    sockets: new Set(cpus.map(({ socket }) => socket)).size,
  };
}
