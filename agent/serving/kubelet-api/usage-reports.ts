import type { NodeStatsEndpoints, Summary } from '../../stats/index.js';

/** What node, pods and containers use, in the forms that are asked for. */
export interface UsageReports {
  /** `/stats/summary`. */
  summary(onlyCpuAndMemory: boolean, signal: AbortSignal): Promise<Pick<Summary, 'pods'>>;
  /** `/metrics/cadvisor`. */
  cadvisor(signal: AbortSignal): Promise<string>;
  /** `/metrics/resource`. */
  resource(signal: AbortSignal): Promise<string>;
}

/** From the agent's own look at cgroups and disks, the one that eviction decides by as well. */
export function usageReports(stats: NodeStatsEndpoints): UsageReports {
  return {
    summary: (onlyCpuAndMemory) => stats.summary({ onlyCpuAndMemory }),
    cadvisor: () => stats.cadvisorMetrics(),
    resource: () => Promise.resolve(stats.resourceMetrics()),
  };
}
