export { cadvisorMetrics, type MachineFacts } from './cadvisor-metrics.js';
export {
  FilesystemUsages,
  type FilesystemLayout,
  type NodeFilesystems,
  type PodFilesystems,
  type Taken,
} from './filesystem-usages.js';
export { localVolumeNames } from './local-volumes.js';
export { monitoredPod } from './monitored-pods.js';
export { resourceMetrics } from './resource-metrics.js';
export {
  ResourceMonitor,
  type MonitoredContainer,
  type MonitoredPod,
  type MonitorOptions,
  type NodeSnapshot,
  type PodUsage,
  type UsageSnapshot,
} from './resource-monitor.js';
export { buildSummary } from './summary.js';
export type { Summary } from './summary-types.js';
export type { CgroupUsage, FilesystemUsage } from './usage.js';
export { openNodeStats, type NodeStats, type NodeStatsEndpoints } from './open-node-stats.js';
