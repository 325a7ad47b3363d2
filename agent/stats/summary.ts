import { toRfc3339 } from '../../base/clock.js';
import type { InterfaceCounters } from '../../base/net-dev.js';
import type { VolumeUsage } from '../volumes/volume-manager.js';
import type { NodeFilesystems, PodFilesystems, Taken } from './filesystem-usages.js';
import type { PodUsage, UsageSnapshot } from './resource-monitor.js';
import type {
  ContainerStats,
  CpuStats,
  FsStats,
  InterfaceStats,
  IoStats,
  MemoryStats,
  NetworkStats,
  PodStats,
  PsiLine,
  PsiStats,
  Summary,
  SwapStats,
  VolumeStats,
} from './summary-types.js';
import type { CgroupUsage, FilesystemUsage, Pressure, PressureLine } from './usage.js';

export interface SummaryInput {
  readonly nodeName: string;
  readonly memoryBytes: number;
  readonly snapshot: UsageSnapshot;
  /** Undefined for `?only_cpu_and_memory=true`. */
  readonly filesystems: NodeFilesystems | undefined;
  podFilesystems(pod: PodUsage): PodFilesystems;
  /** Names of its volumes that take of the node's own disk. */
  localVolumes(pod: PodUsage): ReadonlySet<string>;
}

export function buildSummary(input: SummaryInput): Summary {
  const { nodeName, snapshot, filesystems, memoryBytes } = input;
  const { node, at } = snapshot;
  const bootedAt = toRfc3339(snapshot.bootedAt);
  const cpuAndMemory = { cpu: cpuStats(node), memory: memoryStats(node, memoryBytes) };
  const systemContainers = snapshot.system.map(({ name, startedAt, usage }): ContainerStats => ({
    name,
    startTime: startedAt === undefined ? bootedAt : toRfc3339(startedAt),
    cpu: cpuStats(usage),
    memory: memoryStats(usage, name === 'pods' ? memoryBytes : undefined),
    swap: swapStats(usage),
  }));
  const base = { nodeName, systemContainers, startTime: bootedAt, ...cpuAndMemory, swap: swapStats(node) };
  if (!filesystems) return { node: base, pods: snapshot.pods.map((pod) => podStats(pod, undefined, input)) };
  const { nodefs, imagefs, containerfs, runtime } = filesystems;
  const containers = containerfs ?? imagefs;
  return {
    node: {
      ...base,
      io: ioStats(node),
      network: networkStats(snapshot.nodeNetwork, at),
      fs: fsStats(nodefs),
      runtime: {
        imageFs: imagefs && { ...fsStats(imagefs), ...runtime?.images },
        containerFs: containers && { ...fsStats(containers), ...runtime?.containers },
      },
      rlimit: { time: toRfc3339(at), maxpid: snapshot.rlimit.maxPid, curproc: snapshot.rlimit.processes },
    },
    pods: snapshot.pods.map((pod) => podStats(pod, filesystems, input)),
  };
}

function podStats(usage: PodUsage, node: NodeFilesystems | undefined, input: SummaryInput): PodStats {
  const { pod } = usage;
  const own = node ? input.podFilesystems(usage) : undefined;
  const writable = node?.containerfs ?? node?.imagefs ?? node?.nodefs;
  const containers = usage.containers.map(({ container, usage: used }): ContainerStats => ({
    name: container.name,
    startTime: toRfc3339(container.startedAt),
    cpu: cpuStats(used),
    memory: memoryStats(used, undefined),
    swap: swapStats(used),
    ...(node && {
      io: ioStats(used),
      rootfs: takenStats(own?.rootfs.get(container.name), writable),
      logs: takenStats(own?.logs.get(container.name), node.nodefs),
    }),
  }));
  const stats: PodStats = {
    podRef: { name: pod.name, namespace: pod.namespace, uid: pod.uid },
    startTime: toRfc3339(pod.startedAt),
    containers,
    cpu: cpuStats(usage.usage),
    memory: memoryStats(usage.usage, undefined),
    swap: swapStats(usage.usage),
  };
  if (!node || !own) return stats;
  return {
    ...stats,
    io: ioStats(usage.usage),
    network: usage.network && networkStats(usage.network, usage.usage.at),
    volume: own.volumes.map((volume) => volumeStats(volume, usage.usage.at)),
    'ephemeral-storage': ephemeralStats(own, input.localVolumes(usage), node.nodefs),
    process_stats: { process_count: usage.containers.reduce((sum, each) => sum + (each.usage.processes ?? 0), 0) },
  };
}

function cpuStats({ cpu, at, pressure }: CgroupUsage): CpuStats | undefined {
  return (
    cpu && {
      time: toRfc3339(at),
      usageNanoCores: cpu.nanoCores,
      usageCoreNanoSeconds: cpu.totalNs,
      psi: psiStats(pressure?.cpu),
    }
  );
}

/** `otherwise` is what a cgroup without a limit has. */
function memoryStats({ memory, at, pressure }: CgroupUsage, otherwise: number | undefined): MemoryStats | undefined {
  if (!memory) return undefined;
  const limit = memory.limit ?? otherwise;
  return {
    time: toRfc3339(at),
    availableBytes: limit === undefined ? undefined : Math.max(limit - memory.workingSet, 0),
    usageBytes: memory.usage,
    workingSetBytes: memory.workingSet,
    rssBytes: memory.rss,
    pageFaults: memory.pageFaults,
    majorPageFaults: memory.majorPageFaults,
    psi: psiStats(pressure?.memory),
  };
}

function swapStats({ swap, at }: CgroupUsage): SwapStats | undefined {
  return (
    swap && {
      time: toRfc3339(at),
      swapAvailableBytes: swap.limit === undefined ? undefined : Math.max(swap.limit - swap.usage, 0),
      swapUsageBytes: swap.usage,
    }
  );
}

function ioStats({ pressure, at }: CgroupUsage): IoStats | undefined {
  return pressure && { time: toRfc3339(at), psi: psiStats(pressure.io) };
}

const noPressure: PressureLine = { avg10: 0, avg60: 0, avg300: 0, totalUs: 0 };

function psiStats(pressure: Pressure | undefined): PsiStats | undefined {
  const line = ({ avg10, avg60, avg300, totalUs }: PressureLine): PsiLine => ({
    total: totalUs * 1000,
    avg10,
    avg60,
    avg300,
  });
  return pressure && { full: line(pressure.full ?? noPressure), some: line(pressure.some) };
}

/** The first interface stands for the pod: `eth0`, or what the machine calls its own. */
function networkStats(interfaces: readonly InterfaceCounters[], at: number): NetworkStats | undefined {
  const all = interfaces.map(({ name, rxBytes, rxErrors, txBytes, txErrors }): InterfaceStats => ({
    name,
    rxBytes,
    rxErrors,
    txBytes,
    txErrors,
  }));
  const first = all.find(({ name }) => name === 'eth0') ?? all[0];
  return first && { time: toRfc3339(at), ...first, interfaces: all };
}

function fsStats(usage: FilesystemUsage): FsStats {
  const { at, availableBytes, capacityBytes, usedBytes, inodesFree, inodes, inodesUsed } = usage;
  return { time: toRfc3339(at), availableBytes, capacityBytes, usedBytes, inodesFree, inodes, inodesUsed };
}

function takenStats(taken: Taken | undefined, on: FilesystemUsage | undefined): FsStats | undefined {
  if (!taken || !on) return undefined;
  return { ...fsStats(on), time: toRfc3339(taken.at), usedBytes: taken.usedBytes, inodesUsed: taken.inodesUsed };
}

function volumeStats(usage: VolumeUsage, at: number): VolumeStats {
  const { volume, claim, capacityBytes, availableBytes, usedBytes, inodes, inodesUsed } = usage;
  return {
    time: toRfc3339(at),
    name: volume,
    ...(claim && { pvcRef: { name: claim.name, namespace: claim.namespace } }),
    availableBytes,
    capacityBytes,
    usedBytes,
    inodes,
    inodesFree: Math.max(inodes - inodesUsed, 0),
    inodesUsed,
  };
}

/** Layers, logs, and volumes that live and die with the pod. */
function ephemeralStats(own: PodFilesystems, localVolumes: ReadonlySet<string>, nodefs: FilesystemUsage): FsStats {
  const local = own.volumes.filter(({ volume }) => localVolumes.has(volume));
  const parts = [...own.rootfs.values(), ...own.logs.values(), ...local];
  return {
    ...fsStats(nodefs),
    usedBytes: parts.reduce((sum, part) => sum + part.usedBytes, 0),
    inodesUsed: parts.reduce((sum, part) => sum + part.inodesUsed, 0),
  };
}
