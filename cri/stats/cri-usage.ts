import { CpuRates } from '../../base/cpu-rates.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import type { CgroupStats } from './cgroup-stats.js';

/** Whoever asks less often is told no rate: it would say nothing of now. */
const ratesKeptMs = 3_600_000;

/** Counters of cgroups in CRI's words, of any runtime whose containers are on this machine. A rate is over the time since it was asked before. */
export class CriUsage {
  readonly #rates = new CpuRates();
  #forgotAtMs = -Infinity;

  /** `timestamp`: nanoseconds since the epoch, of the reading. */
  ofContainer(
    id: string,
    stats: CgroupStats,
    timestamp: number,
  ): Pick<v1.ContainerStats, 'cpu' | 'memory' | 'swap' | 'io'> {
    return {
      cpu: this.#cpu(id, stats, timestamp),
      memory: memoryUsage(stats, timestamp),
      swap: { timestamp, swapUsageBytes: { value: stats.swapUsage } },
      io: ioUsage(stats, timestamp),
    };
  }

  ofPod(
    id: string,
    stats: CgroupStats,
    timestamp: number,
  ): Pick<v1.LinuxPodSandboxStats, 'cpu' | 'memory' | 'process' | 'io'> {
    return {
      cpu: this.#cpu(id, stats, timestamp),
      memory: memoryUsage(stats, timestamp),
      process: { timestamp, processCount: { value: stats.processes } },
      io: ioUsage(stats, timestamp),
    };
  }

  #cpu(id: string, stats: CgroupStats, timestamp: number): v1.CpuUsage {
    const atMs = timestamp / 1e6;
    if (atMs - this.#forgotAtMs >= ratesKeptMs) {
      this.#rates.forgetOlderThan(atMs - ratesKeptMs);
      this.#forgotAtMs = atMs;
    }
    const nanoCores = this.#rates.nanoCores(id, stats.cpuNanos, atMs);
    return {
      timestamp,
      usageCoreNanoSeconds: { value: stats.cpuNanos },
      usageNanoCores: nanoCores === undefined ? undefined : { value: nanoCores },
      psi: stats.psi?.cpu,
    };
  }
}

function memoryUsage(stats: CgroupStats, timestamp: number): v1.MemoryUsage {
  const { memoryLimit: limit } = stats;
  return {
    timestamp,
    workingSetBytes: { value: stats.memoryWorkingSet },
    availableBytes: limit === 0 ? undefined : { value: Math.max(0, limit - stats.memoryWorkingSet) },
    usageBytes: { value: stats.memoryUsage },
    rssBytes: { value: stats.memoryRss },
    pageFaults: { value: stats.pageFaults },
    majorPageFaults: { value: stats.majorPageFaults },
    psi: stats.psi?.memory,
  };
}

function ioUsage({ psi }: CgroupStats, timestamp: number): v1.IoUsage | undefined {
  return psi === undefined ? undefined : { timestamp, psi: psi.io };
}

/** Of a pod whose containers have no cgroup in common. Pressure cannot be added up; one part without a limit is a whole without one. */
export function sumOfCgroups(parts: readonly CgroupStats[]): CgroupStats | undefined {
  if (parts.length === 0) return undefined;
  const total: Record<string, unknown> = { psi: undefined };
  for (const part of parts) {
    for (const key of Object.keys(part) as (keyof CgroupStats)[]) {
      if (key !== 'psi') total[key] = ((total[key] as number | undefined) ?? 0) + part[key];
    }
  }
  if (parts.some(({ memoryLimit }) => memoryLimit === 0)) total['memoryLimit'] = 0;
  return total as unknown as CgroupStats;
}
