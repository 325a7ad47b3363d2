import { labelText, MetricsText, seconds } from './metrics-text.js';
import type { UsageSnapshot } from './resource-monitor.js';

/** `/metrics/resource`: what autoscalers and `kubectl top` read. */
export function resourceMetrics({ node, pods }: UsageSnapshot): string {
  const text = new MetricsText();
  const declared: readonly [string, 'counter' | 'gauge', string][] = [
    [
      'container_cpu_usage_seconds_total',
      'counter',
      '[STABLE] Cumulative cpu time consumed by the container in core-seconds',
    ],
    ['container_memory_working_set_bytes', 'gauge', '[STABLE] Current working set of the container in bytes'],
    ['container_start_time_seconds', 'gauge', '[STABLE] Start time of the container since unix epoch in seconds'],
    [
      'container_swap_limit_bytes',
      'gauge',
      '[ALPHA] Current amount of the container swap limit in bytes. Reported only on non-windows systems',
    ],
    [
      'container_swap_usage_bytes',
      'gauge',
      '[ALPHA] Current amount of the container swap usage in bytes. Reported only on non-windows systems',
    ],
    ['node_cpu_usage_seconds_total', 'counter', '[STABLE] Cumulative cpu time consumed by the node in core-seconds'],
    ['node_memory_working_set_bytes', 'gauge', '[STABLE] Current working set of the node in bytes'],
    [
      'node_swap_usage_bytes',
      'gauge',
      '[ALPHA] Current swap usage of the node in bytes. Reported only on non-windows systems',
    ],
    ['pod_cpu_usage_seconds_total', 'counter', '[STABLE] Cumulative cpu time consumed by the pod in core-seconds'],
    ['pod_memory_working_set_bytes', 'gauge', '[STABLE] Current working set of the pod in bytes'],
    [
      'pod_swap_usage_bytes',
      'gauge',
      '[ALPHA] Current amount of the pod swap usage in bytes. Reported only on non-windows systems',
    ],
    ['resource_scrape_error', 'gauge', '[STABLE] 1 if there was an error while getting container metrics, 0 otherwise'],
  ];
  for (const [name, type, help] of declared) text.declare(name, type, help);
  text.add('node_cpu_usage_seconds_total', '', seconds(node.cpu?.totalNs), node.at);
  text.add('node_memory_working_set_bytes', '', node.memory?.workingSet, node.at);
  text.add('node_swap_usage_bytes', '', node.swap?.usage, node.at);
  for (const { pod, usage, containers } of pods) {
    const own = labelText({ namespace: pod.namespace, pod: pod.name });
    text.add('pod_cpu_usage_seconds_total', own, seconds(usage.cpu?.totalNs), usage.at);
    text.add('pod_memory_working_set_bytes', own, usage.memory?.workingSet, usage.at);
    text.add('pod_swap_usage_bytes', own, usage.swap?.usage, usage.at);
    for (const { container, usage: used } of containers) {
      const labels = `container="${container.name}",${own}`;
      text.add('container_cpu_usage_seconds_total', labels, seconds(used.cpu?.totalNs), used.at);
      text.add('container_memory_working_set_bytes', labels, used.memory?.workingSet, used.at);
      text.add('container_start_time_seconds', labels, container.startedAt / 1000);
      text.add('container_swap_limit_bytes', labels, used.swap?.limit, used.at);
      text.add('container_swap_usage_bytes', labels, used.swap?.usage, used.at);
    }
  }
  text.add('resource_scrape_error', '', 0);
  return text.toString();
}
