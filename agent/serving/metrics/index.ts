export { noMetrics, type AgentMetrics } from './agent-metrics.js';
export { countedRuntime } from './counted-runtime.js';
export { MetricsStore } from './metrics-store.js';
export { renderMetrics } from './render-metrics.js';
