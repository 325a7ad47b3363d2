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
import { monitoredPod } from './monitored-pods.js';
import { readOwnCgroup } from './own-cgroup.js';
import { resourceMetrics } from './resource-metrics.js';
import { ResourceMonitor, type MonitoredPod, type MonitorOptions } from './resource-monitor.js';
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

export function openNodeStats(
  options: { readonly nodeName: string; readonly rootDir: string; readonly maxAgeMs: number },
  deps: NodeStatsDeps,
  lifetime: AbortSignal,
): NodeStats {
  const { clock, log, host, runtime, loops, desired, cgroups } = deps;
  const pods = (): MonitoredPod[] =>
    desired.all().flatMap(({ pod, uid }) => {
      const seen = loops.live(uid)?.seen();
      return seen ? [monitoredPod(pod, seen, cgroups.parentOf(pod))] : [];
    });
  const monitor = new ResourceMonitor({ hierarchy: deps.hierarchy, system: systemContainers(deps) }, { clock, pods });
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

/** All pods together, and the agent itself with the helpers it started. */
function systemContainers({ hierarchy, cgroups, clock }: NodeStatsDeps): MonitorOptions['system'] {
  const pods = { name: 'pods', cgroup: cgroups.root } as const;
  const own = readOwnCgroup(hierarchy);
  const startedAt = clock.now() - process.uptime() * 1000;
  return own === undefined ? [pods] : [{ name: 'kubelet', cgroup: own, startedAt }, pods];
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
