export { noMetrics, type AgentMetrics, type PodResourcesMethod } from './agent-metrics.js';
export type { GaugeReading } from './accumulators.js';
export { countedCalls } from './counted-calls.js';
export { countedRuntime } from './counted-runtime.js';
export { MetricsStore } from './metrics-store.js';
export { renderMetrics } from './render-metrics.js';
