import type * as v1 from '../../proto/generated/cri-v1.js';
import type { CgroupStats } from './cgroup-stats.js';
import type { MetricCounters } from './metric-counters.js';

/** The filesystem that writable layers are on. */
export interface LayerFilesystem {
  readonly bytes: number;
  readonly inodes: number;
  readonly inodesFree: number;
}

/** What is told of a container beside its counters. */
export interface MeasuredContainer {
  readonly id: string;
  readonly metadata: { readonly name: string };
  readonly image: v1.ImageSpec;
  readonly imageId: string;
  readonly resources: v1.LinuxContainerResources;
  readonly createdAtMs: number;
  readonly startedAtMs?: number | undefined;
}

export interface MetricSource {
  readonly record: MeasuredContainer;
  readonly cgroup: CgroupStats;
  readonly counters: MetricCounters;
  readonly layer: { readonly bytes: number } | undefined;
  readonly filesystem: LayerFilesystem | undefined;
  readonly nowMs: number;
}

/** A value with those of the metric's own labels. */
export type MetricSample = readonly [value: number | undefined, ...labels: string[]];

export interface ContainerMetric {
  readonly name: string;
  readonly help: string;
  readonly type: v1.MetricType;
  /** Beside those of every metric. */
  readonly labelKeys: readonly string[];
  /** One without a value is left out. */
  readonly samples: (source: MetricSource) => readonly MetricSample[];
}

type Value = (source: MetricSource) => number | undefined;
type Samples = (source: MetricSource) => readonly MetricSample[];

const metric = (type: v1.MetricType, name: string, help: string, value: Value): ContainerMetric => ({
  name: `container_${name}`,
  help,
  type,
  labelKeys: [],
  samples: (source) => [[value(source)]],
});
const counter = (name: string, help: string, value: Value): ContainerMetric => metric('COUNTER', name, help, value);
const gauge = (name: string, help: string, value: Value): ContainerMetric => metric('GAUGE', name, help, value);
const labelled = (
  type: v1.MetricType,
  name: string,
  help: string,
  labelKeys: readonly string[],
  samples: Samples,
): ContainerMetric => ({ name: `container_${name}`, help, type, labelKeys, samples });

const seconds = (nanos: number): number => Math.floor(nanos / 1e9);
/** CRI writes -1 for "no limit"; the metric's word for it is 0. */
const limit = (value: number | undefined): number => Math.max(0, value ?? 0);

const cpu: readonly ContainerMetric[] = [
  counter('cpu_usage_seconds_total', 'Cumulative cpu time consumed in seconds.', ({ cgroup }) =>
    seconds(cgroup.cpuNanos),
  ),
  counter('cpu_user_seconds_total', 'Cumulative user cpu time consumed in seconds.', ({ cgroup }) =>
    seconds(cgroup.cpuUserNanos),
  ),
  counter('cpu_system_seconds_total', 'Cumulative system cpu time consumed in seconds.', ({ cgroup }) =>
    seconds(cgroup.cpuSystemNanos),
  ),
  counter(
    'cpu_cfs_periods_total',
    'Number of elapsed enforcement period intervals.',
    ({ counters }) => counters.periods,
  ),
  counter(
    'cpu_cfs_throttled_periods_total',
    'Number of throttled period intervals.',
    ({ cgroup }) => cgroup.throttledPeriods,
  ),
  counter(
    'cpu_cfs_throttled_seconds_total',
    'Total time duration the container has been throttled.',
    ({ counters }) => counters.throttledSeconds,
  ),
  gauge('spec_cpu_period', 'CPU period of the container.', ({ record }) => record.resources.cpuPeriod ?? 0),
  gauge('spec_cpu_shares', 'CPU share of the container.', ({ record }) => record.resources.cpuShares ?? 0),
  gauge('spec_cpu_quota', 'CPU quota of the container.', ({ record }) => {
    const { cpuQuota = 0 } = record.resources;
    return cpuQuota > 0 ? cpuQuota : undefined;
  }),
];

const memory: readonly ContainerMetric[] = [
  gauge(
    'memory_usage_bytes',
    'Current memory usage in bytes, including all memory regardless of when it was accessed.',
    ({ cgroup }) => cgroup.memoryUsage,
  ),
  gauge(
    'memory_max_usage_bytes',
    'Maximum memory usage recorded in bytes.',
    ({ cgroup, counters }) => counters.memoryPeak ?? cgroup.memoryUsage,
  ),
  gauge('memory_working_set_bytes', 'Current working set in bytes.', ({ cgroup }) => cgroup.memoryWorkingSet),
  gauge('memory_rss', 'Size of RSS in bytes.', ({ cgroup }) => cgroup.memoryRss),
  gauge('memory_cache', 'Number of bytes of page cache memory.', ({ cgroup }) => cgroup.memoryCache),
  gauge('memory_mapped_file', 'Size of memory mapped files in bytes.', ({ counters }) => counters.mappedFile),
  gauge('memory_kernel_usage', 'Size of kernel memory allocated in bytes.', ({ counters }) => counters.kernelMemory),
  gauge('memory_swap', 'Container swap usage in bytes.', ({ cgroup }) => cgroup.swapUsage),
  counter('memory_failcnt', 'Number of memory usage hits limits.', ({ counters }) => counters.memoryFailures),
  labelled(
    'COUNTER',
    'memory_failures_total',
    'Cumulative count of memory allocation failures.',
    ['failure_type', 'scope'],
    ({ cgroup }) => [
      [cgroup.pageFaults, 'pgfault', 'container'],
      [cgroup.majorPageFaults, 'pgmajfault', 'container'],
    ],
  ),
  counter(
    'oom_events_total',
    'Count of out of memory events observed for the container.',
    ({ cgroup }) => cgroup.oomKills,
  ),
  gauge('spec_memory_limit_bytes', 'Memory limit for the container.', ({ cgroup }) => cgroup.memoryLimit),
  gauge(
    'spec_memory_reservation_limit_bytes',
    'Memory reservation limit for the container.',
    ({ counters }) => counters.memoryReservation,
  ),
  gauge('spec_memory_swap_limit_bytes', 'Memory swap limit for the container.', ({ record }) =>
    limit(record.resources.memorySwapLimitInBytes),
  ),
  labelled('GAUGE', 'hugetlb_usage_bytes', 'Current hugepage usage in bytes.', ['pagesize'], ({ counters }) =>
    counters.hugepages.map(({ pageSize, usage }) => [usage, pageSize]),
  ),
  labelled(
    'GAUGE',
    'hugetlb_max_usage_bytes',
    'Maximum hugepage usage recorded in bytes.',
    ['pagesize'],
    ({ counters }) => counters.hugepages.map(({ pageSize, peak }) => [peak, pageSize]),
  ),
];

const disk: readonly ContainerMetric[] = [
  gauge(
    'fs_usage_bytes',
    'Number of bytes that are consumed by the container on this filesystem.',
    ({ layer }) => layer?.bytes,
  ),
  gauge(
    'fs_limit_bytes',
    'Number of bytes that can be consumed by the container on this filesystem.',
    ({ filesystem }) => filesystem?.bytes,
  ),
  gauge('fs_inodes_total', 'Number of inodes.', ({ filesystem }) => filesystem?.inodes),
  gauge('fs_inodes_free', 'Number of available inodes.', ({ filesystem }) => filesystem?.inodesFree),
  labelled('COUNTER', 'fs_reads_total', 'Cumulative count of reads completed.', ['device'], ({ counters }) =>
    counters.devices.map(({ device, reads }) => [reads, device]),
  ),
  labelled('COUNTER', 'fs_reads_bytes_total', 'Cumulative count of bytes read.', ['device'], ({ counters }) =>
    counters.devices.map(({ device, readBytes }) => [readBytes, device]),
  ),
  labelled('COUNTER', 'fs_writes_total', 'Cumulative count of writes completed.', ['device'], ({ counters }) =>
    counters.devices.map(({ device, writes }) => [writes, device]),
  ),
  labelled('COUNTER', 'fs_writes_bytes_total', 'Cumulative count of bytes written.', ['device'], ({ counters }) =>
    counters.devices.map(({ device, writtenBytes }) => [writtenBytes, device]),
  ),
  labelled(
    'COUNTER',
    'blkio_device_usage_total',
    'Blkio device bytes usage.',
    ['device', 'major', 'minor', 'operation'],
    ({ counters }) =>
      counters.devices.flatMap(({ device, major, minor, readBytes, writtenBytes }): MetricSample[] => [
        [readBytes, device, major, minor, 'read'],
        [writtenBytes, device, major, minor, 'write'],
      ]),
  ),
];

const processes: readonly ContainerMetric[] = [
  gauge('processes', 'Number of processes running inside the container.', ({ counters }) => counters.processes),
  gauge('threads', 'Number of threads running inside the container.', ({ counters }) => counters.threads),
  gauge(
    'threads_max',
    'Maximum number of threads allowed inside the container, 0 for no limit.',
    ({ counters }) => counters.threadsMax,
  ),
  gauge('file_descriptors', 'Number of open file descriptors for the container.', ({ counters }) => counters.files),
  gauge('sockets', 'Number of open sockets for the container.', ({ counters }) => counters.sockets),
  labelled(
    'GAUGE',
    'ulimits_soft',
    'Soft ulimit values for the first process of the container.',
    ['ulimit'],
    ({ counters }) => [[counters.openFilesLimit, 'max_open_files']],
  ),
  gauge('start_time_seconds', 'Start time of the container since unix epoch in seconds.', ({ record }) =>
    Math.floor((record.startedAtMs ?? record.createdAtMs) / 1000),
  ),
  gauge('last_seen', 'Last time a container was seen by the exporter.', ({ nowMs }) => Math.floor(nowMs / 1000)),
];

const pressure: readonly ContainerMetric[] = (['cpu', 'memory', 'io'] as const).flatMap((what) => {
  const name = what === 'memory' ? what : what.toUpperCase();
  const total =
    (share: 'Some' | 'Full'): Value =>
    ({ cgroup }) =>
      cgroup.psi && seconds(cgroup.psi[what][share]?.Total ?? 0);
  return [
    counter(
      `pressure_${what}_waiting_seconds_total`,
      `Total time duration tasks in the container have waited due to ${name} congestion.`,
      total('Some'),
    ),
    counter(
      `pressure_${what}_stalled_seconds_total`,
      `Total time duration no tasks in the container could make progress due to ${name} congestion.`,
      total('Full'),
    ),
  ];
});

/** Names and meanings of cAdvisor's container metrics, which dashboards and alerts are written against. */
export const containerMetrics: readonly ContainerMetric[] = [...cpu, ...memory, ...disk, ...processes, ...pressure];
