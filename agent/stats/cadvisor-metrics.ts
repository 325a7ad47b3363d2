import type { NodeFilesystems, PodFilesystems } from './filesystem-usages.js';
import { labelText, MetricsText, seconds } from './metrics-text.js';
import type { PodUsage, UsageSnapshot } from './resource-monitor.js';
import type { CgroupUsage, InterfaceUsage, Pressure } from './usage.js';

export interface CadvisorInput {
  readonly snapshot: UsageSnapshot;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly filesystems: NodeFilesystems;
  podFilesystems(pod: PodUsage): PodFilesystems;
}

const counters: Readonly<Record<string, string>> = {
  container_cpu_usage_seconds_total: 'Cumulative cpu time consumed in seconds.',
  container_cpu_user_seconds_total: 'Cumulative user cpu time consumed in seconds.',
  container_cpu_system_seconds_total: 'Cumulative system cpu time consumed in seconds.',
  container_cpu_cfs_periods_total: 'Number of elapsed enforcement period intervals.',
  container_cpu_cfs_throttled_periods_total: 'Number of throttled period intervals.',
  container_cpu_cfs_throttled_seconds_total: 'Total time duration the container has been throttled.',
  container_memory_failcnt: 'Number of memory usage hits limits',
  container_memory_failures_total: 'Cumulative count of memory allocation failures.',
  container_oom_events_total: 'Count of out of memory events observed for the container',
  container_network_receive_bytes_total: 'Cumulative count of bytes received',
  container_network_receive_packets_total: 'Cumulative count of packets received',
  container_network_receive_packets_dropped_total: 'Cumulative count of packets dropped while receiving',
  container_network_receive_errors_total: 'Cumulative count of errors encountered while receiving',
  container_network_transmit_bytes_total: 'Cumulative count of bytes transmitted',
  container_network_transmit_packets_total: 'Cumulative count of packets transmitted',
  container_network_transmit_packets_dropped_total: 'Cumulative count of packets dropped while transmitting',
  container_network_transmit_errors_total: 'Cumulative count of errors encountered while transmitting',
  container_pressure_cpu_waiting_seconds_total:
    'Total time duration tasks in the container have waited due to CPU congestion.',
  container_pressure_cpu_stalled_seconds_total:
    'Total time duration no tasks in the container could make progress due to CPU congestion.',
  container_pressure_memory_waiting_seconds_total:
    'Total time duration tasks in the container have waited due to memory congestion.',
  container_pressure_memory_stalled_seconds_total:
    'Total time duration no tasks in the container could make progress due to memory congestion.',
  container_pressure_io_waiting_seconds_total:
    'Total time duration tasks in the container have waited due to IO congestion.',
  container_pressure_io_stalled_seconds_total:
    'Total time duration no tasks in the container could make progress due to IO congestion.',
};

const gauges: Readonly<Record<string, string>> = {
  container_last_seen: 'Last time a container was seen by the exporter',
  container_start_time_seconds: 'Start time of the container since unix epoch in seconds.',
  container_memory_usage_bytes:
    'Current memory usage in bytes, including all memory regardless of when it was accessed',
  container_memory_working_set_bytes: 'Current working set in bytes.',
  container_memory_rss: 'Size of RSS in bytes.',
  container_memory_cache: 'Number of bytes of page cache memory.',
  container_memory_mapped_file: 'Size of memory mapped files in bytes.',
  container_memory_swap: 'Container swap usage in bytes.',
  container_spec_memory_limit_bytes: 'Memory limit for the container.',
  container_processes: 'Number of processes running inside the container.',
  container_fs_usage_bytes: 'Number of bytes that are consumed by the container on this filesystem.',
  container_fs_limit_bytes: 'Number of bytes that can be consumed by the container on this filesystem.',
  container_fs_inodes_total: 'Number of Inodes',
  container_fs_inodes_free: 'Number of available Inodes',
  machine_cpu_cores: 'Number of logical CPU cores.',
  machine_memory_bytes: 'Amount of memory installed on the machine.',
};

/** `/metrics/cadvisor`: the families that dashboards and alerts read, from the same snapshot as the summary. */
export function cadvisorMetrics(input: CadvisorInput): string {
  const text = new MetricsText();
  for (const [name, help] of Object.entries(counters)) text.declare(name, 'counter', help);
  for (const [name, help] of Object.entries(gauges)) text.declare(name, 'gauge', help);
  const { snapshot } = input;
  text.add('machine_cpu_cores', '', input.cpus);
  text.add('machine_memory_bytes', '', input.memoryBytes);
  const root = labelText({ container: '', id: '/', image: '', name: '', namespace: '', pod: '' });
  addUsage(text, root, snapshot.node);
  addNetwork(text, root, snapshot.nodeNetwork, snapshot.at);
  for (const pod of snapshot.pods) addPod(text, pod, input);
  return text.toString();
}

function addPod(text: MetricsText, usage: PodUsage, input: CadvisorInput): void {
  const { pod } = usage;
  const owner = { namespace: pod.namespace, pod: pod.name };
  const own = labelText({ container: '', id: pod.cgroup, image: '', name: '', ...owner });
  addUsage(text, own, usage.usage);
  if (usage.network) addNetwork(text, own, usage.network, usage.usage.at);
  const { nodefs, imagefs, containerfs } = input.filesystems;
  const on = containerfs ?? imagefs ?? nodefs;
  const { rootfs } = input.podFilesystems(usage);
  for (const { container, cgroup, usage: used } of usage.containers) {
    const { name, id, image, startedAt } = container;
    const labels = labelText({ container: name, id: cgroup, image, name: id, ...owner });
    addUsage(text, labels, used);
    text.add('container_start_time_seconds', labels, startedAt / 1000);
    text.add('container_spec_memory_limit_bytes', labels, used.memory?.limit ?? 0);
    const layer = rootfs.get(name);
    if (!layer) continue;
    const device = `${labels},device=""`;
    text.add('container_fs_usage_bytes', device, layer.usedBytes, used.at);
    text.add('container_fs_limit_bytes', device, on.capacityBytes, used.at);
    text.add('container_fs_inodes_total', device, on.inodes, used.at);
    text.add('container_fs_inodes_free', device, on.inodesFree, used.at);
  }
}

function addUsage(text: MetricsText, labels: string, usage: CgroupUsage): void {
  const { at, cpu, memory, swap, processes, pressure, oomKills } = usage;
  text.add('container_last_seen', labels, Math.floor(at / 1000), at);
  if (cpu) {
    text.add('container_cpu_usage_seconds_total', `${labels},cpu="total"`, seconds(cpu.totalNs), at);
    text.add('container_cpu_user_seconds_total', labels, seconds(cpu.userNs), at);
    text.add('container_cpu_system_seconds_total', labels, seconds(cpu.systemNs), at);
    text.add('container_cpu_cfs_periods_total', labels, cpu.throttling?.periods, at);
    text.add('container_cpu_cfs_throttled_periods_total', labels, cpu.throttling?.throttledPeriods, at);
    text.add('container_cpu_cfs_throttled_seconds_total', labels, seconds(cpu.throttling?.throttledNs), at);
  }
  if (memory) {
    text.add('container_memory_usage_bytes', labels, memory.usage, at);
    text.add('container_memory_working_set_bytes', labels, memory.workingSet, at);
    text.add('container_memory_rss', labels, memory.rss, at);
    text.add('container_memory_cache', labels, memory.cache, at);
    text.add('container_memory_mapped_file', labels, memory.mappedFile, at);
    text.add('container_memory_failcnt', labels, memory.failures ?? 0, at);
    const failures = [
      ['pgfault', memory.pageFaults],
      ['pgmajfault', memory.majorPageFaults],
    ] as const;
    for (const [type, count] of failures)
      text.add('container_memory_failures_total', `${labels},failure_type="${type}",scope="hierarchy"`, count, at);
  }
  text.add('container_memory_swap', labels, swap?.usage, at);
  text.add('container_processes', labels, processes, at);
  text.add('container_oom_events_total', labels, oomKills, at);
  addPressure(text, 'cpu', labels, pressure?.cpu, at);
  addPressure(text, 'memory', labels, pressure?.memory, at);
  addPressure(text, 'io', labels, pressure?.io, at);
}

function addPressure(
  text: MetricsText,
  what: string,
  labels: string,
  pressure: Pressure | undefined,
  at: number,
): void {
  if (!pressure) return;
  text.add(`container_pressure_${what}_waiting_seconds_total`, labels, pressure.some.totalUs / 1e6, at);
  text.add(`container_pressure_${what}_stalled_seconds_total`, labels, (pressure.full?.totalUs ?? 0) / 1e6, at);
}

function addNetwork(text: MetricsText, own: string, interfaces: readonly InterfaceUsage[], at: number): void {
  for (const each of interfaces) {
    const labels = `${own},interface="${each.name}"`;
    text.add('container_network_receive_bytes_total', labels, each.rxBytes, at);
    text.add('container_network_receive_packets_total', labels, each.rxPackets, at);
    text.add('container_network_receive_packets_dropped_total', labels, each.rxDropped, at);
    text.add('container_network_receive_errors_total', labels, each.rxErrors, at);
    text.add('container_network_transmit_bytes_total', labels, each.txBytes, at);
    text.add('container_network_transmit_packets_total', labels, each.txPackets, at);
    text.add('container_network_transmit_packets_dropped_total', labels, each.txDropped, at);
    text.add('container_network_transmit_errors_total', labels, each.txErrors, at);
  }
}
