import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { CriRuntime } from '../../cri/index.js';
import type { HostFacts } from '../node/host-facts.js';
import type { PodLoops } from '../podloop/pod-loops.js';
import type { DesiredPods } from '../pods/desired-pods.js';
import type { CgroupHierarchy } from '../resources/cgroups/hierarchy.js';
import type { Kubepods } from '../resources/cgroups/kubepods.js';
import type { VolumeManager } from '../volumes/volume-manager.js';
import { cadvisorMetrics } from './cadvisor-metrics.js';
import { FilesystemUsages } from './filesystem-usages.js';
import { monitoredPod } from './monitored-pods.js';
import { resourceMetrics } from './resource-metrics.js';
import { ResourceMonitor, type MonitoredPod } from './resource-monitor.js';
import type { Summary } from './summary-types.js';
import { buildSummary } from './summary.js';

export interface NodeStatsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly host: HostFacts;
  readonly hierarchy: CgroupHierarchy;
  readonly runtime: CriRuntime;
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
  const monitor = new ResourceMonitor(
    { hierarchy: deps.hierarchy, system: [{ name: 'pods', cgroup: cgroups.root }] },
    { clock, pods },
  );
  const filesystems = new FilesystemUsages(
    options,
    {
      clock,
      log,
      runtime: runtime.runtime,
      volumes: (uid, signal) => deps.volumes.usage(uid, signal),
      pods,
      imageFilesystems: async (signal) => {
        const { imageFilesystems, containerFilesystems } = await runtime.images.imageFsInfo({}, signal);
        return {
          images: imageFilesystems?.[0]?.fsId?.mountpoint,
          containers: containerFilesystems?.[0]?.fsId?.mountpoint,
        };
      },
    },
    lifetime,
  );
  return {
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
      return cadvisorMetrics({
        snapshot: monitor.snapshot(),
        cpus: host.cpus,
        memoryBytes: host.memoryBytes,
        filesystems: await filesystems.node(),
        podFilesystems: ({ pod }) => filesystems.of(pod.uid),
      });
    },
  };
}
