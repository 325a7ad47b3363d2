import { expect, test } from 'vitest';
import type { MeasuredContainer, MetricSource } from './container-metrics.js';
import { metricDescriptors, podMetrics } from './metrics.js';

/** What critest (v1.37) asks of every runtime; of the second list only where the machine counts it. */
const expected = [
  'cpu_cfs_periods_total cpu_cfs_throttled_periods_total cpu_cfs_throttled_seconds_total cpu_system_seconds_total',
  'cpu_usage_seconds_total cpu_user_seconds_total file_descriptors fs_inodes_free fs_inodes_total fs_limit_bytes',
  'fs_usage_bytes last_seen memory_cache memory_failcnt memory_failures_total memory_kernel_usage memory_mapped_file',
  'memory_max_usage_bytes memory_rss memory_swap memory_usage_bytes memory_working_set_bytes',
  'network_receive_bytes_total network_receive_errors_total network_receive_packets_dropped_total',
  'network_receive_packets_total network_transmit_bytes_total network_transmit_errors_total',
  'network_transmit_packets_dropped_total network_transmit_packets_total oom_events_total processes sockets',
  'spec_cpu_period spec_cpu_shares spec_memory_limit_bytes spec_memory_swap_limit_bytes start_time_seconds threads',
  'threads_max',
].flatMap((line) => line.split(' ').map((name) => `container_${name}`));
const whereCounted = [
  'blkio_device_usage_total fs_reads_bytes_total fs_reads_total fs_writes_bytes_total fs_writes_total',
  'hugetlb_max_usage_bytes hugetlb_usage_bytes pressure_cpu_stalled_seconds_total pressure_cpu_waiting_seconds_total',
  'pressure_io_stalled_seconds_total pressure_io_waiting_seconds_total pressure_memory_stalled_seconds_total',
  'pressure_memory_waiting_seconds_total spec_cpu_quota spec_memory_reservation_limit_bytes ulimits_soft',
].flatMap((line) => line.split(' ').map((name) => `container_${name}`));

const record: MeasuredContainer = {
  id: 'c1',
  metadata: { name: 'main' },
  image: { image: 'busybox' },
  imageId: '',
  createdAtMs: 1000,
  resources: { memorySwapLimitInBytes: -1 },
};
const sandbox = { id: 's1', metadata: { name: 'pod', namespace: 'ns' } };
const cgroup = {
  cpuNanos: 1,
  cpuUserNanos: 1,
  cpuSystemNanos: 1,
  throttledPeriods: 1,
  memoryUsage: 1,
  memoryWorkingSet: 1,
  memoryRss: 1,
  memoryCache: 1,
  memoryLimit: 0,
  swapUsage: 0,
  pageFaults: 3,
  majorPageFaults: 4,
  processes: 1,
  oomKills: 0,
};
const counters = {
  periods: 0,
  throttledSeconds: 0,
  memoryFailures: 0,
  kernelMemory: 0,
  mappedFile: 0,
  memoryPeak: undefined,
  memoryReservation: 0,
  devices: [],
  hugepages: [],
  processes: 1,
  threads: 1,
  threadsMax: 0,
  files: 3,
  sockets: 0,
  openFilesLimit: undefined,
};
const source: MetricSource = {
  record,
  cgroup,
  counters,
  layer: { bytes: 0 },
  filesystem: { bytes: 1, inodes: 1, inodesFree: 1 },
  nowMs: 5000,
};
const psi = { Full: { Total: 2e9 }, Some: { Total: 3e9 } };
const everything: MetricSource = {
  ...source,
  record: { ...record, resources: { cpuQuota: 20_000 } },
  cgroup: { ...cgroup, psi: { cpu: psi, memory: psi, io: psi } },
  counters: {
    ...counters,
    devices: [{ major: '8', minor: '0', device: '/dev/sda', reads: 1, writes: 2, readBytes: 3, writtenBytes: 4 }],
    hugepages: [{ pageSize: '2MB', usage: 0, peak: 0 }],
    openFilesLimit: 1024,
  },
};
const eth0 = {
  name: 'eth0',
  rxBytes: 1,
  rxPackets: 2,
  rxErrors: 0,
  rxDropped: 0,
  txBytes: 3,
  txPackets: 4,
  txErrors: 0,
  txDropped: 5,
};

const metricsOf = (
  of: MetricSource,
): readonly { name?: string | undefined; labelValues?: readonly string[] | undefined }[] => {
  const { metrics = [], containerMetrics = [] } = podMetrics(sandbox, undefined, [eth0], [of], 7);
  return [...metrics, ...containerMetrics.flatMap((one) => one.metrics ?? [])];
};
const names = (of: MetricSource): Set<string | undefined> => new Set(metricsOf(of).map(({ name }) => name));

test('every metric that is asked for is described, and told as it is described', () => {
  const described = new Map(metricDescriptors().map(({ name, labelKeys }) => [name, labelKeys?.length]));
  expect(new Set(described.keys())).toEqual(new Set([...expected, ...whereCounted]));
  expect(metricDescriptors().every(({ help }) => help !== undefined && help !== '')).toBe(true);
  expect(names(everything)).toEqual(new Set(described.keys()));
  for (const { name, labelValues } of metricsOf(everything)) {
    expect([name, labelValues?.length]).toEqual([name, described.get(name)]);
  }
});

test('what this machine does not count is left out, not told as nothing', () => {
  const told = names(source);
  expect(expected.filter((name) => !told.has(name))).toEqual([]);
  expect(whereCounted.filter((name) => told.has(name))).toEqual(['container_spec_memory_reservation_limit_bytes']);
});
