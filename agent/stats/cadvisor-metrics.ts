import type { InterfaceCounters } from '../../base/net-dev.js';
import { cadvisorFamilies } from './cadvisor-families.js';
import type { CgroupDetails, DiskTraffic } from './cgroup-details.js';
import type { DiskStatistics } from './disk-statistics.js';
import type { NodeFilesystems, PodFilesystems } from './filesystem-usages.js';
import { labelText, MetricsText, seconds } from './metrics-text.js';
import type { PodUsage, UsageSnapshot } from './resource-monitor.js';
import type { CgroupUsage, FilesystemUsage, Pressure } from './usage.js';

/** What is true of the machine. */
export interface MachineFacts {
  readonly cpus: number;
  readonly cores: number;
  readonly sockets: number;
  readonly memoryBytes: number;
  readonly swapBytes: number;
  readonly machineId: string;
  readonly systemUuid: string;
  readonly bootId: string;
  readonly kernel: string;
  readonly osImage: string;
}

export interface CadvisorInput {
  readonly snapshot: UsageSnapshot;
  /** By cgroup; that of the whole machine is ''. */
  readonly details: ReadonlyMap<string, CgroupDetails>;
  readonly machine: MachineFacts;
  readonly filesystems: NodeFilesystems;
  /** By device. */
  readonly disks: ReadonlyMap<string, DiskStatistics>;
  podFilesystems(pod: PodUsage): PodFilesystems;
}

/** The unit of /proc/diskstats, whatever the disk's own sectors are. */
const sectorBytes = 512;

/** `/metrics/cadvisor`: what a kubelet tells there and what the kernel tells berth, from the same snapshot as the summary. */
export function cadvisorMetrics(input: CadvisorInput): string {
  const text = new MetricsText();
  for (const [name, type, help] of cadvisorFamilies) text.declare(name, type, help);
  const { snapshot, details } = input;
  addMachine(text, input.machine);
  const root = labelText({ container: '', id: '/', image: '', name: '', namespace: '', pod: '' });
  text.add('container_start_time_seconds', root, snapshot.bootedAt / 1000);
  addUsage(text, root, snapshot.node);
  const whole = details.get('');
  // What its disks did is counted by the disks.
  if (whole) addDetails(text, root, { ...whole, disks: [] });
  for (const disk of whole?.disks ?? []) addBytesBy(text, root, disk, whole?.at);
  addNetwork(text, root, snapshot.nodeNetwork, snapshot.at);
  addFilesystems(text, root, input);
  for (const pod of snapshot.pods) addPod(text, pod, input);
  text.add('container_scrape_error', '', 0);
  return text.toString();
}

function addMachine(text: MetricsText, machine: MachineFacts): void {
  const { machineId, systemUuid, bootId, kernel, osImage } = machine;
  const labels = labelText({ boot_id: bootId, machine_id: machineId, system_uuid: systemUuid });
  text.add('machine_cpu_cores', labels, machine.cpus);
  text.add('machine_cpu_physical_cores', labels, machine.cores);
  text.add('machine_cpu_sockets', labels, machine.sockets);
  text.add('machine_memory_bytes', labels, machine.memoryBytes);
  text.add('machine_swap_bytes', labels, machine.swapBytes);
  text.add('machine_scrape_error', '', 0);
  const versions = { cadvisorRevision: '', cadvisorVersion: '', dockerVersion: '' };
  const info = labelText({ ...versions, kernelVersion: kernel, osVersion: osImage });
  text.add('cadvisor_version_info', info, 1);
}

function addPod(text: MetricsText, usage: PodUsage, input: CadvisorInput): void {
  const { pod } = usage;
  const owner = { namespace: pod.namespace, pod: pod.name };
  const own = labelText({ container: '', id: pod.cgroup, image: '', name: '', ...owner });
  text.add('container_start_time_seconds', own, pod.startedAt / 1000);
  addUsage(text, own, usage.usage);
  addDetails(text, own, input.details.get(pod.cgroup));
  if (usage.network) addNetwork(text, own, usage.network, usage.usage.at);
  const { nodefs, imagefs, containerfs } = input.filesystems;
  const on = containerfs ?? imagefs ?? nodefs;
  const { rootfs } = input.podFilesystems(usage);
  for (const { container, cgroup, usage: used } of usage.containers) {
    const { name, id, image, startedAt } = container;
    const labels = labelText({ container: name, id: cgroup, image, name: id, ...owner });
    text.add('container_start_time_seconds', labels, startedAt / 1000);
    addUsage(text, labels, used);
    addDetails(text, labels, input.details.get(cgroup));
    const layer = rootfs.get(name);
    if (layer) addFilesystem(text, labels, { ...on, usedBytes: layer.usedBytes, at: layer.at });
  }
}

function addUsage(text: MetricsText, labels: string, usage: CgroupUsage): void {
  const { at, cpu, memory, swap, processes, threads, pressure, oomKills } = usage;
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
    text.add('container_memory_total_active_file_bytes', labels, memory.activeFile, at);
    text.add('container_memory_total_inactive_file_bytes', labels, memory.inactiveFile, at);
    const failures = [
      ['pgfault', memory.pageFaults],
      ['pgmajfault', memory.majorPageFaults],
    ] as const;
    for (const scope of ['container', 'hierarchy'])
      for (const [type, count] of failures)
        text.add('container_memory_failures_total', `${labels},failure_type="${type}",scope="${scope}"`, count, at);
  }
  text.add('container_memory_swap', labels, swap?.usage, at);
  text.add('container_processes', labels, processes, at);
  text.add('container_threads', labels, threads, at);
  text.add('container_oom_events_total', labels, oomKills, at);
  addPressure(text, 'cpu', labels, pressure?.cpu, at);
  addPressure(text, 'memory', labels, pressure?.memory, at);
  addPressure(text, 'io', labels, pressure?.io, at);
}

function addDetails(text: MetricsText, labels: string, details: CgroupDetails | undefined): void {
  if (!details) return;
  const { at, files } = details;
  text.add('container_spec_cpu_period', labels, details.cpuPeriodUs);
  text.add('container_spec_cpu_quota', labels, details.cpuQuotaUs);
  text.add('container_spec_cpu_shares', labels, details.cpuShares);
  text.add('container_spec_memory_limit_bytes', labels, details.memoryLimit);
  text.add('container_spec_memory_reservation_limit_bytes', labels, details.memoryReservation);
  text.add('container_spec_memory_swap_limit_bytes', labels, details.swapLimit);
  text.add('container_memory_failcnt', labels, details.memoryFailures, at);
  text.add('container_memory_kernel_usage', labels, details.kernelMemory, at);
  text.add('container_memory_max_usage_bytes', labels, details.maxMemory, at);
  text.add('container_threads_max', labels, details.maxThreads, at);
  if (files) {
    text.add('container_file_descriptors', labels, files.descriptors, at);
    text.add('container_sockets', labels, files.sockets, at);
    text.add('container_ulimits_soft', `${labels},ulimit="max_open_files"`, files.softLimit, at);
  }
  for (const disk of details.disks) {
    const device = `${labels},device="${disk.device}"`;
    text.add('container_fs_reads_bytes_total', device, disk.readBytes, at);
    text.add('container_fs_writes_bytes_total', device, disk.writtenBytes, at);
    text.add('container_fs_reads_total', device, disk.reads, at);
    text.add('container_fs_writes_total', device, disk.writes, at);
    addBytesBy(text, labels, disk, at);
  }
}

function addBytesBy(text: MetricsText, labels: string, disk: DiskTraffic, at: number | undefined): void {
  const device = `${labels},device="${disk.device}",major="${disk.major}",minor="${disk.minor}"`;
  for (const [operation, bytes] of disk.bytesBy)
    text.add('container_blkio_device_usage_total', `${device},operation="${operation}"`, bytes, at);
}

/** Those of the node, each once, with what its disk did. */
function addFilesystems(text: MetricsText, labels: string, { filesystems, disks }: CadvisorInput): void {
  const { nodefs, imagefs, containerfs } = filesystems;
  const all = [nodefs, imagefs, containerfs].flatMap((each) => each ?? []);
  for (const [device, usage] of new Map(all.map((each) => [each.device, each]))) {
    addFilesystem(text, labels, usage);
    const disk = disks.get(device);
    if (disk) addDisk(text, `${labels},device="${device}"`, disk, usage.at);
  }
}

function addFilesystem(text: MetricsText, labels: string, usage: FilesystemUsage): void {
  const device = `${labels},device="${usage.device}"`;
  text.add('container_fs_usage_bytes', device, usage.usedBytes, usage.at);
  text.add('container_fs_limit_bytes', device, usage.capacityBytes, usage.at);
  text.add('container_fs_inodes_total', device, usage.inodes, usage.at);
  text.add('container_fs_inodes_free', device, usage.inodesFree, usage.at);
}

function addDisk(text: MetricsText, labels: string, disk: DiskStatistics, at: number): void {
  text.add('container_fs_reads_total', labels, disk.reads, at);
  text.add('container_fs_reads_bytes_total', labels, disk.sectorsRead * sectorBytes, at);
  text.add('container_fs_reads_merged_total', labels, disk.readsMerged, at);
  text.add('container_fs_sector_reads_total', labels, disk.sectorsRead, at);
  text.add('container_fs_read_seconds_total', labels, disk.readMs / 1000, at);
  text.add('container_fs_writes_total', labels, disk.writes, at);
  text.add('container_fs_writes_bytes_total', labels, disk.sectorsWritten * sectorBytes, at);
  text.add('container_fs_writes_merged_total', labels, disk.writesMerged, at);
  text.add('container_fs_sector_writes_total', labels, disk.sectorsWritten, at);
  text.add('container_fs_write_seconds_total', labels, disk.writeMs / 1000, at);
  text.add('container_fs_io_current', labels, disk.inFlight, at);
  text.add('container_fs_io_time_seconds_total', labels, disk.ioMs / 1000, at);
  text.add('container_fs_io_time_weighted_seconds_total', labels, disk.weightedIoMs / 1000, at);
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

function addNetwork(text: MetricsText, own: string, interfaces: readonly InterfaceCounters[], at: number): void {
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
