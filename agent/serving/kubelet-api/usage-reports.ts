import type { Clock } from '../../../base/clock.js';
import type { Logger } from '../../../base/log.js';
import type { Agent } from '../../agent.js';
import { cgroupNames, podCgroup } from '../../resources/cgroups/cgroup-names.js';
import { detectHierarchy } from '../../resources/cgroups/hierarchy.js';
import {
  buildSummary,
  cadvisorMetrics,
  FilesystemUsages,
  monitoredPod,
  resourceMetrics,
  ResourceMonitor,
  type MonitoredPod,
  type PodFilesystems,
  type PodUsage,
} from '../../stats/index.js';
import type { VolumeUsage } from '../../volumes/volume-manager.js';

/** What node, pods and containers use, in the forms that are asked for. */
export interface UsageReports {
  /** `/stats/summary`. */
  summary(onlyCpuAndMemory: boolean, signal: AbortSignal): Promise<object>;
  /** `/metrics/cadvisor`. */
  cadvisor(signal: AbortSignal): Promise<string>;
  /** `/metrics/resource`. */
  resource(signal: AbortSignal): Promise<string>;
}

export interface UsageReportsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Usage of a pod's volumes; none are told when absent. */
  readonly volumes?: ((uid: MonitoredPod['uid'], signal: AbortSignal) => Promise<readonly VolumeUsage[]>) | undefined;
}

/** Reports from the agent's own look at cgroups and disks. Nothing is measured before somebody asks. */
export async function agentUsageReports(
  agent: Agent,
  deps: UsageReportsDeps,
  lifetime: AbortSignal,
): Promise<UsageReports> {
  const { clock, log, volumes = () => Promise.resolve([]) } = deps;
  const { config, host, runtime } = agent;
  const { driver, root } = config.cgroups;
  const names = cgroupNames(driver, root);
  const pods = (): readonly MonitoredPod[] =>
    agent.pods().flatMap(({ pod, status, observed }) => {
      if (!pod || !observed?.sandboxes.some(({ ready }) => ready)) return [];
      return [monitoredPod({ ...pod, ...(status && { status }) }, observed, podCgroup(names, pod))];
    });
  const hierarchy = await detectHierarchy();
  const kubepods = { name: 'pods' as const, cgroup: names.tier('Guaranteed') };
  const monitor = new ResourceMonitor({ hierarchy, system: [kubepods] }, { clock, pods });
  const filesystems = new FilesystemUsages(
    { rootDir: config.paths.rootDir },
    {
      clock,
      log,
      runtime: runtime.runtime,
      volumes,
      pods,
      imageFilesystems: async (signal) => {
        const { imageFilesystems = [], containerFilesystems = [] } = await runtime.images.imageFsInfo({}, signal);
        const [images] = imageFilesystems;
        const [containers] = containerFilesystems;
        return { images: images?.fsId?.mountpoint, containers: containers?.fsId?.mountpoint };
      },
    },
    lifetime,
  );
  const podFilesystems = ({ pod }: PodUsage): PodFilesystems => filesystems.of(pod.uid);
  const { memoryBytes, cpus } = host;
  return {
    summary: async (onlyCpuAndMemory) =>
      buildSummary({
        nodeName: config.nodeName,
        memoryBytes,
        snapshot: monitor.snapshot(),
        filesystems: onlyCpuAndMemory ? undefined : await filesystems.node(),
        podFilesystems,
      }),
    cadvisor: async () =>
      cadvisorMetrics({
        snapshot: monitor.snapshot(),
        cpus,
        memoryBytes,
        filesystems: await filesystems.node(),
        podFilesystems,
      }),
    resource: () => Promise.resolve(resourceMetrics(monitor.snapshot())),
  };
}
