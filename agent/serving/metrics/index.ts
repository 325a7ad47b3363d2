export { noMetrics, type AgentMetrics } from './agent-metrics.js';
export type { GaugeReading } from './accumulators.js';
export { countedExecutors } from './counted-executors.js';
export { countedCalls } from './counted-calls.js';
export { countedRuntime } from './counted-runtime.js';
export { MetricsStore } from './metrics-store.js';
export { timedMethods } from './timed-methods.js';
export type { WorkCounts } from './work-metrics.js';
export { renderMetrics } from './render-metrics.js';
