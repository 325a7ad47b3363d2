import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { errnoOf } from '../../base/errors.js';
import type { CgroupHost } from './cgroup-host.js';

/** What only the metrics of cAdvisor ask for, beside what every statistic reads. Undefined where the kernel does not tell it. */
export interface MetricCounters {
  readonly periods: number;
  readonly throttledSeconds: number;
  readonly memoryFailures: number;
  readonly kernelMemory: number;
  readonly mappedFile: number;
  readonly memoryPeak: number | undefined;
  /** 0 for none. */
  readonly memoryReservation: number;
  readonly devices: readonly DeviceTraffic[];
  readonly hugepages: readonly HugepageUsage[];
  readonly processes: number;
  readonly threads: number;
  /** 0 for no limit. */
  readonly threadsMax: number;
  readonly files: number;
  readonly sockets: number;
  /** Soft limit of open files of the first process. */
  readonly openFilesLimit: number | undefined;
}

export interface DeviceTraffic {
  readonly major: string;
  readonly minor: string;
  readonly device: string;
  readonly reads: number;
  readonly writes: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
}

export interface HugepageUsage {
  readonly pageSize: string;
  readonly usage: number;
  readonly peak: number | undefined;
}

type Read = (controller: string, file: string) => string | undefined;

/** `initPid` is the container's first process as the host numbers it. */
export function readMetricCounters(
  host: Omit<CgroupHost, 'cgroupHierarchies'>,
  cgroup: string,
  initPid: number,
): MetricCounters {
  const read: Read = (controller, file) =>
    textIf(`${host.cgroupMount(host.cgroupVersion === 2 ? '' : controller)}${cgroup}/${file}`);
  const pids = (read('pids', 'cgroup.procs') ?? '').split('\n').filter((pid) => pid !== '');
  return {
    ...(host.cgroupVersion === 2 ? countersV2(read, host.hugepageSizes) : countersV1(read, host.hugepageSizes)),
    processes: pids.length,
    threads: number(read('pids', 'pids.current')),
    threadsMax: number(read('pids', 'pids.max')),
    ...openFiles(pids),
    openFilesLimit: softLimit(textIf(`/proc/${initPid}/limits`) ?? ''),
  };
}

type OfCgroup = Omit<MetricCounters, 'processes' | 'threads' | 'threadsMax' | 'files' | 'sockets' | 'openFilesLimit'>;

export function countersV2(read: Read, pageSizes: readonly string[]): OfCgroup {
  const cpu = keyed(read('cpu', 'cpu.stat'));
  const memory = keyed(read('memory', 'memory.stat'));
  return {
    periods: of(cpu, 'nr_periods'),
    throttledSeconds: Math.floor(of(cpu, 'throttled_usec') / 1e6),
    memoryFailures: of(keyed(read('memory', 'memory.events')), 'max'),
    kernelMemory: of(memory, 'kernel'),
    mappedFile: of(memory, 'file_mapped'),
    memoryPeak: numberIf(read('memory', 'memory.peak')),
    memoryReservation: number(read('memory', 'memory.low')),
    devices: devicesV2(read('io', 'io.stat') ?? ''),
    hugepages: pageSizes.flatMap((pageSize): HugepageUsage[] => {
      const usage = numberIf(read('hugetlb', `hugetlb.${pageSize}.current`));
      return usage === undefined ? [] : [{ pageSize, usage, peak: undefined }];
    }),
  };
}

export function countersV1(read: Read, pageSizes: readonly string[]): OfCgroup {
  const cpu = keyed(read('cpu', 'cpu.stat'));
  return {
    periods: of(cpu, 'nr_periods'),
    throttledSeconds: Math.floor(of(cpu, 'throttled_time') / 1e9),
    memoryFailures: number(read('memory', 'memory.failcnt')),
    kernelMemory: number(read('memory', 'memory.kmem.usage_in_bytes')),
    mappedFile: of(keyed(read('memory', 'memory.stat')), 'total_mapped_file'),
    memoryPeak: numberIf(read('memory', 'memory.max_usage_in_bytes')),
    memoryReservation: limited(number(read('memory', 'memory.soft_limit_in_bytes'))),
    devices: devicesV1(
      read('blkio', 'blkio.throttle.io_serviced_recursive') ?? '',
      read('blkio', 'blkio.throttle.io_service_bytes_recursive') ?? '',
    ),
    hugepages: pageSizes.flatMap((pageSize): HugepageUsage[] => {
      const usage = numberIf(read('hugetlb', `hugetlb.${pageSize}.usage_in_bytes`));
      const peak = numberIf(read('hugetlb', `hugetlb.${pageSize}.max_usage_in_bytes`));
      return usage === undefined ? [] : [{ pageSize, usage, peak }];
    }),
  };
}

/** Lines such as `254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`. */
function devicesV2(text: string): DeviceTraffic[] {
  return text.split('\n').flatMap((line) => {
    const [id = '', ...fields] = line.split(' ');
    const value = (key: string): number => Number(fields.find((field) => field.startsWith(`${key}=`))?.split('=')[1]);
    const traffic = [value('rios'), value('wios'), value('rbytes'), value('wbytes')];
    // A device that is listed without counters has none.
    return traffic.some(Number.isNaN) ? [] : [device(id, traffic)];
  });
}

/** Lines such as `254:0 Read 7`, one file for operations and one for bytes. */
function devicesV1(operations: string, bytes: string): DeviceTraffic[] {
  const counts = [keyedByTwo(operations), keyedByTwo(bytes)];
  const ids = new Set(counts.flatMap((map) => [...map.keys()].map((key) => key.split(' ')[0] ?? '')));
  return [...ids].map((id) =>
    device(
      id,
      counts.flatMap((map) => [map.get(`${id} Read`) ?? 0, map.get(`${id} Write`) ?? 0]),
    ),
  );
}

function device(id: string, [reads = 0, writes = 0, readBytes = 0, writtenBytes = 0]: number[]): DeviceTraffic {
  const [major = '', minor = ''] = id.split(':');
  return { major, minor, device: deviceName(id), reads, writes, readBytes, writtenBytes };
}

function deviceName(id: string): string {
  try {
    return `/dev/${readlinkSync(`/sys/dev/block/${id}`).split('/').at(-1) ?? id}`;
  } catch {
    return id;
  }
}

/** Of all processes; one that ends while it is looked at has none. */
function openFiles(pids: readonly string[]): { readonly files: number; readonly sockets: number } {
  let files = 0;
  let sockets = 0;
  for (const pid of pids) {
    const folder = `/proc/${pid}/fd`;
    for (const name of namesIf(folder)) {
      files++;
      if (linkIf(`${folder}/${name}`).startsWith('socket:')) sockets++;
    }
  }
  return { files, sockets };
}

function softLimit(limits: string): number | undefined {
  const found = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return found === undefined ? undefined : Number(found);
}

function keyed(text = ''): ReadonlyMap<string, number> {
  return new Map(text.split('\n').map((line) => [line.split(' ')[0] ?? '', Number(line.split(' ')[1])] as const));
}

function keyedByTwo(text: string): ReadonlyMap<string, number> {
  const lines = text.split('\n').map((line) => line.split(' '));
  return new Map(
    lines.filter((words) => words.length === 3).map(([id, what, value]) => [`${id} ${what}`, Number(value)] as const),
  );
}

const of = (map: ReadonlyMap<string, number>, key: string): number => map.get(key) ?? 0;

/** "max" and what is absent are 0. */
const number = (text: string | undefined): number => numberIf(text) ?? 0;

function numberIf(text: string | undefined): number | undefined {
  const value = Number(text?.trim());
  return text === undefined || !Number.isFinite(value) ? undefined : value;
}

/** v1 writes a number near 2^63 for "no limit". */
const limited = (value: number): number => (value >= 2 ** 62 ? 0 : value);

function textIf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (err) {
    return gone(err);
  }
}

function namesIf(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (err) {
    return gone(err) ?? [];
  }
}

function linkIf(path: string): string {
  try {
    return readlinkSync(path);
  } catch (err) {
    return gone(err) ?? '';
  }
}

/** A controller that is not enabled, a cgroup or process that has just gone. */
function gone(err: unknown): undefined {
  if (!['ENOENT', 'ENODEV', 'EOPNOTSUPP', 'ESRCH', 'EACCES'].includes(errnoOf(err) ?? '')) throw err;
}
