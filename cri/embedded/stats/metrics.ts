import type * as v1 from '../../../proto/generated/cri-v1.js';
import type { ContainerRecord, SandboxRecord } from '../state/records.js';
import type { CgroupStats } from './cgroup-stats.js';
import type { LayerUsage } from './writable-layers.js';

export interface MetricSource {
  readonly record: ContainerRecord;
  readonly cgroup: CgroupStats;
  readonly layer: LayerUsage | undefined;
}

const labelKeys = ['id', 'name', 'image', 'container', 'pod', 'namespace'] as const;

interface ContainerMetric {
  readonly name: string;
  readonly help: string;
  readonly type: v1.MetricType;
  readonly value: (source: MetricSource) => number | undefined;
}

const seconds = (nanos: number): number => Math.floor(nanos / 1e9);

/** Names and meanings of cAdvisor's container metrics, which dashboards and alerts are written against. */
const containerMetrics: readonly ContainerMetric[] = [
  {
    name: 'container_cpu_usage_seconds_total',
    help: 'Cumulative cpu time consumed in seconds.',
    type: 'COUNTER',
    value: ({ cgroup }) => seconds(cgroup.cpuNanos),
  },
  {
    name: 'container_cpu_user_seconds_total',
    help: 'Cumulative user cpu time consumed in seconds.',
    type: 'COUNTER',
    value: ({ cgroup }) => seconds(cgroup.cpuUserNanos),
  },
  {
    name: 'container_cpu_system_seconds_total',
    help: 'Cumulative system cpu time consumed in seconds.',
    type: 'COUNTER',
    value: ({ cgroup }) => seconds(cgroup.cpuSystemNanos),
  },
  {
    name: 'container_cpu_cfs_throttled_periods_total',
    help: 'Number of throttled period intervals.',
    type: 'COUNTER',
    value: ({ cgroup }) => cgroup.throttledPeriods,
  },
  {
    name: 'container_memory_usage_bytes',
    help: 'Current memory usage in bytes, including all memory regardless of when it was accessed.',
    type: 'GAUGE',
    value: ({ cgroup }) => cgroup.memoryUsage,
  },
  {
    name: 'container_memory_working_set_bytes',
    help: 'Current working set in bytes.',
    type: 'GAUGE',
    value: ({ cgroup }) => cgroup.memoryWorkingSet,
  },
  {
    name: 'container_memory_rss',
    help: 'Size of RSS in bytes.',
    type: 'GAUGE',
    value: ({ cgroup }) => cgroup.memoryRss,
  },
  {
    name: 'container_memory_cache',
    help: 'Number of bytes of page cache memory.',
    type: 'GAUGE',
    value: ({ cgroup }) => cgroup.memoryCache,
  },
  {
    name: 'container_memory_swap',
    help: 'Container swap usage in bytes.',
    type: 'GAUGE',
    value: ({ cgroup }) => cgroup.swapUsage,
  },
  {
    name: 'container_spec_memory_limit_bytes',
    help: 'Memory limit for the container.',
    type: 'GAUGE',
    value: ({ cgroup }) => cgroup.memoryLimit,
  },
  {
    name: 'container_oom_events_total',
    help: 'Count of out of memory events observed for the container.',
    type: 'COUNTER',
    value: ({ cgroup }) => cgroup.oomKills,
  },
  {
    name: 'container_processes',
    help: 'Number of processes running inside the container.',
    type: 'GAUGE',
    value: ({ cgroup }) => cgroup.processes,
  },
  {
    name: 'container_fs_usage_bytes',
    help: 'Number of bytes that are consumed by the container on this filesystem.',
    type: 'GAUGE',
    value: ({ layer }) => layer?.bytes,
  },
  {
    name: 'container_start_time_seconds',
    help: 'Start time of the container since unix epoch in seconds.',
    type: 'GAUGE',
    value: ({ record }) => Math.floor((record.startedAtMs ?? record.createdAtMs) / 1000),
  },
];

interface NetworkMetric {
  readonly name: string;
  readonly help: string;
  readonly value: (usage: v1.NetworkInterfaceUsage) => number;
}

const networkMetrics: readonly NetworkMetric[] = [
  {
    name: 'container_network_receive_bytes_total',
    help: 'Cumulative count of bytes received',
    value: ({ rxBytes }) => rxBytes?.value ?? 0,
  },
  {
    name: 'container_network_receive_errors_total',
    help: 'Cumulative count of errors encountered while receiving',
    value: ({ rxErrors }) => rxErrors?.value ?? 0,
  },
  {
    name: 'container_network_transmit_bytes_total',
    help: 'Cumulative count of bytes transmitted',
    value: ({ txBytes }) => txBytes?.value ?? 0,
  },
  {
    name: 'container_network_transmit_errors_total',
    help: 'Cumulative count of errors encountered while transmitting',
    value: ({ txErrors }) => txErrors?.value ?? 0,
  },
];

const failureMetric = {
  name: 'container_memory_failures_total',
  help: 'Cumulative count of memory allocation failures.',
  labelKeys: [...labelKeys, 'failure_type', 'scope'],
} as const;

export function metricDescriptors(): v1.MetricDescriptor[] {
  return [
    ...containerMetrics.map(({ name, help }) => ({ name, help, labelKeys })),
    ...networkMetrics.map(({ name, help }) => ({ name, help, labelKeys: [...labelKeys, 'interface'] })),
    failureMetric,
  ];
}

export function podMetrics(
  sandbox: SandboxRecord,
  podCgroup: CgroupStats | undefined,
  interfaces: readonly v1.NetworkInterfaceUsage[],
  containers: readonly MetricSource[],
  timestamp: number,
): v1.PodSandboxMetrics {
  const { name: pod, namespace } = sandbox.metadata;
  const podLabels = [sandbox.id, pod, '', 'POD', pod, namespace];
  const network = interfaces.flatMap((usage) =>
    networkMetrics.map((metric): v1.Metric => ({
      name: metric.name,
      timestamp,
      metricType: 'COUNTER',
      labelValues: [...podLabels, usage.name ?? ''],
      value: { value: metric.value(usage) },
    })),
  );
  const processes: v1.Metric[] =
    podCgroup === undefined
      ? []
      : [
          {
            name: 'container_processes',
            timestamp,
            metricType: 'GAUGE',
            labelValues: podLabels,
            value: { value: podCgroup.processes },
          },
        ];
  return {
    podSandboxId: sandbox.id,
    metrics: [...network, ...processes],
    containerMetrics: containers.map((source) => containerMetricSet(source, pod, namespace, timestamp)),
  };
}

function containerMetricSet(
  source: MetricSource,
  pod: string,
  namespace: string,
  timestamp: number,
): v1.ContainerMetrics {
  const { record, cgroup } = source;
  const image = record.image.userSpecifiedImage || record.image.image || record.imageId;
  const labels = [record.id, record.metadata.name, image, record.metadata.name, pod, namespace];
  const metrics = containerMetrics.flatMap(({ name, type, value }): v1.Metric[] => {
    const found = value(source);
    return found === undefined
      ? []
      : [{ name, timestamp, metricType: type, labelValues: labels, value: { value: found } }];
  });
  const failures = [
    ['pgfault', cgroup.pageFaults],
    ['pgmajfault', cgroup.majorPageFaults],
  ] as const;
  for (const [type, value] of failures) {
    metrics.push({
      name: failureMetric.name,
      timestamp,
      metricType: 'COUNTER',
      labelValues: [...labels, type, 'container'],
      value: { value },
    });
  }
  return { containerId: record.id, metrics };
}
