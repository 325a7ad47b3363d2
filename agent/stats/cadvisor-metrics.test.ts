import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { PodUid } from '../api/index.js';
import { BlockDevices, deviceNumbers } from './block-devices.js';
import { cadvisorFamilies } from './cadvisor-families.js';
import { cadvisorMetrics, type CadvisorInput } from './cadvisor-metrics.js';
import { DetailsOfCgroups, diskTrafficOfV1, diskTrafficOfV2 } from './cgroup-details.js';
import { parseDiskStats } from './disk-statistics.js';
import { SmallFiles } from './small-file.js';
import type { CgroupUsage } from './usage.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'berth-cadvisor-'));
});
afterEach(() => rmSync(root, { recursive: true }));

const write = (files: Readonly<Record<string, string>>): void => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
};

const openFiles = { openFiles: true };

test('limits, peaks and open files of a v1 cgroup; what is no limit is 0', () => {
  write({
    'cpu/c/cpu.shares': '102\n',
    'cpu/c/cpu.cfs_period_us': '100000\n',
    'cpu/c/cpu.cfs_quota_us': '20000\n',
    'memory/c/memory.limit_in_bytes': '65536\n',
    'memory/c/memory.memsw.limit_in_bytes': '9223372036854771712\n',
    'memory/c/memory.soft_limit_in_bytes': '9223372036854771712\n',
    'memory/c/memory.max_usage_in_bytes': '4096\n',
    'memory/c/memory.failcnt': '3\n',
    'memory/c/cgroup.procs': '7\n8\n',
    'pids/c/pids.max': 'max\n',
    'proc/7/limits':
      'Limit Soft Limit Hard Limit Units\nMax open files            1024                 4096                 files\n',
  });
  for (const [pid, to] of [
    ['7', 'socket:[1]'],
    ['7', '/dev/null'],
    ['8', 'pipe:[2]'],
  ] as const) {
    const folder = join(root, 'proc', pid, 'fd');
    mkdirSync(folder, { recursive: true });
    symlinkSync(to, join(folder, to.replaceAll(/\W/g, '')));
  }
  const controllers = new Map(['cpu', 'memory', 'pids'].map((name) => [name, join(root, name)]));
  const details = new DetailsOfCgroups({
    hierarchy: { version: 1, controllers, others: [] },
    files: new SmallFiles(),
    devices: new BlockDevices(root),
    procDir: join(root, 'proc'),
  }).of(new Map([['/c', openFiles]]), 5, 1);
  expect(details.get('/c')).toEqual({
    at: 5,
    ...{ cpuShares: 102, cpuPeriodUs: 100_000, cpuQuotaUs: 20_000 },
    ...{ memoryLimit: 65_536, swapLimit: 0, memoryReservation: 0, maxMemory: 4096, kernelMemory: undefined },
    ...{ memoryFailures: 3, maxThreads: 0, disks: [] },
    files: { descriptors: 3, sockets: 1, softLimit: 1024 },
  });
});

test('limits of a v2 cgroup, its weight on the scale of v1', () => {
  write({
    'c/cpu.weight': '4\n',
    'c/cpu.max': 'max 100000\n',
    'c/memory.max': 'max\n',
    'c/memory.min': '4096\n',
    'c/memory.peak': '8192\n',
    'c/memory.stat': 'anon 1\nkernel 77\n',
    'c/memory.events': 'low 0\nmax 4\n',
    'c/pids.max': '100\n',
    'c/io.stat': '254:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n',
  });
  const details = new DetailsOfCgroups({
    hierarchy: { version: 2, root },
    files: new SmallFiles(),
    devices: new BlockDevices(root),
  }).of(new Map([['/c', { openFiles: false }]]), 5, 1);
  expect(details.get('/c')).toMatchObject({
    ...{ cpuShares: 80, cpuPeriodUs: 100_000, cpuQuotaUs: undefined, memoryLimit: 0, swapLimit: 0 },
    ...{ memoryReservation: 4096, maxMemory: 8192, kernelMemory: 77, memoryFailures: 4, maxThreads: 100 },
    disks: [{ device: '254:0', readBytes: 10, writtenBytes: 20, reads: 1, writes: 2 }],
    files: undefined,
  });
});

test('what is new is read at once, the rest in turns, and what is gone is forgotten', () => {
  const names = ['/a', '/b', '/c', '/d'];
  for (const name of names) write({ [`${name.slice(1)}/memory.max`]: 'max\n' });
  const read = new DetailsOfCgroups({
    hierarchy: { version: 2, root },
    files: new SmallFiles(),
    devices: new BlockDevices(root),
  });
  const of = (...cgroups: string[]) => new Map(cgroups.map((name) => [name, { openFiles: false }]));
  const ages = (at: number, cgroups: string[]): Record<string, number> =>
    Object.fromEntries([...read.of(of(...cgroups), at, 0.5)].map(([name, details]) => [name, details.at]));
  expect(ages(1, names.slice(0, 3))).toEqual({ '/a': 1, '/b': 1, '/c': 1 });
  expect(ages(2, names)).toEqual({ '/a': 2, '/b': 2, '/c': 1, '/d': 2 });
  expect(ages(3, names.slice(1))).toEqual({ '/b': 3, '/c': 3, '/d': 2 });
});

test('traffic of disks in the words of both versions, and names of devices', () => {
  mkdirSync(join(root, 'dev/block'), { recursive: true });
  symlinkSync('../../devices/vda', join(root, 'dev/block/254:0'));
  const devices = new BlockDevices(root);
  const v1 = diskTrafficOfV1(
    '254:0 Read 4096\n254:0 Write 512\n254:0 Total 4608\nTotal 4608\n',
    '254:0 Read 2\n254:0 Write 1\n',
    devices,
  );
  expect(v1).toEqual([
    {
      ...{ device: '/dev/vda', major: '254', minor: '0', readBytes: 4096, writtenBytes: 512, reads: 2, writes: 1 },
      bytesBy: new Map([
        ['Read', 4096],
        ['Write', 512],
        ['Total', 4608],
      ]),
    },
  ]);
  expect(diskTrafficOfV2('254:0 \n7:0 rbytes=1 wbytes=2 rios=3 wios=4\n', devices)).toMatchObject([
    { device: '7:0', reads: 3, writes: 4 },
  ]);
  expect(deviceNumbers(0xfe00)).toBe('254:0');
  expect(deviceNumbers(0x10_0103)).toBe('1:259');
});

const usage = (at: number): CgroupUsage => ({
  at,
  cpu: { totalNs: 2e9, nanoCores: 1, userNs: 1e9, systemNs: 1e9, throttling: undefined },
  memory: {
    ...{ usage: 10, workingSet: 9, rss: 8, cache: 7, mappedFile: 6, activeFile: 5, inactiveFile: 4 },
    ...{ pageFaults: 3, majorPageFaults: 2, limit: undefined, failures: undefined },
  },
  ...{ swap: { usage: 0, limit: 0 }, threads: 4, processes: 2, pressure: undefined, oomKills: 0 },
});

const filesystem = {
  ...{ at: 1, device: '/dev/vda', capacityBytes: 100, availableBytes: 50, usedBytes: 40 },
  ...{ inodes: 10, inodesFree: 6, inodesUsed: 4 },
};

const input: CadvisorInput = {
  snapshot: {
    ...{ at: 1, node: usage(1), nodeNetwork: [], system: [], bootedAt: 1000, oomKills: 0 },
    rlimit: { maxPid: 1, processes: 1 },
    pods: [
      {
        pod: {
          ...{ uid: 'u' as PodUid, namespace: 'ns', name: 'web', startedAt: 2000, cgroup: '/p' },
          ...{ hostNetwork: false, cpuLimited: false, containers: [] },
        },
        usage: usage(1),
        containers: [
          {
            container: { name: 'main', id: 'i', image: 'im', startedAt: 3000, logPath: '', cpuLimited: false },
            cgroup: '/p/i',
            usage: usage(1),
          },
        ],
        network: [
          {
            ...{ name: 'eth0', rxBytes: 1, rxPackets: 1, rxErrors: 0, rxDropped: 0 },
            ...{ txBytes: 1, txPackets: 1, txErrors: 0, txDropped: 0 },
          },
        ],
      },
    ],
  },
  details: new Map(),
  machine: {
    ...{ cpus: 4, cores: 2, sockets: 1, memoryBytes: 5, swapBytes: 0, machineId: 'm', systemUuid: 's', bootId: 'b' },
    ...{ kernel: '6.1', osImage: 'Debian' },
  },
  filesystems: { nodefs: filesystem, imagefs: filesystem, containerfs: undefined, layout: 'one' },
  disks: parseDiskStats(' 254 0 vda 10 1 20 3000 4 5 6 7000 0 9000 1000 0 0\n'),
  podFilesystems: () => ({
    rootfs: new Map([['main', { at: 1, usedBytes: 12, inodesUsed: 1 }]]),
    logs: new Map(),
    volumes: [],
  }),
};

test('series of machine, node, pod and container, each once', () => {
  const text = cadvisorMetrics(input);
  const series = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const keys = series.map((line) => line.replace(/ \S+( \d+)?$/, ''));
  expect(new Set(keys).size).toBe(keys.length);
  const container = 'container="main",id="/p/i",image="im",name="i",namespace="ns",pod="web"';
  const node = 'container="",id="/",image="",name="",namespace="",pod=""';
  for (const line of [
    `container_processes{${container}} 2 1`,
    `container_threads{${container}} 4 1`,
    `container_start_time_seconds{${container}} 3`,
    `container_memory_swap{${container}} 0 1`,
    `container_fs_usage_bytes{${container},device="/dev/vda"} 12 1`,
    `container_fs_usage_bytes{${node},device="/dev/vda"} 40 1`,
    `container_fs_reads_total{${node},device="/dev/vda"} 10 1`,
    `container_fs_reads_bytes_total{${node},device="/dev/vda"} 10240 1`,
    `container_fs_read_seconds_total{${node},device="/dev/vda"} 3 1`,
    `container_fs_io_time_seconds_total{${node},device="/dev/vda"} 9 1`,
    'machine_cpu_physical_cores{boot_id="b",machine_id="m",system_uuid="s"} 2',
  ])
    expect(series).toContain(line);
  const known = new Set(cadvisorFamilies.map(([name]) => name));
  for (const key of keys) expect(known).toContain(key.replace(/\{.*/, ''));
});

test('what was counted of a container bears the time of the count, also the limit of its open files; what it was set to bears none', () => {
  const set = { cpuShares: 2, cpuPeriodUs: 100_000, cpuQuotaUs: undefined, memoryLimit: 0, swapLimit: 0 };
  const counted = { memoryReservation: 0, maxMemory: 1, kernelMemory: 1, memoryFailures: 0, maxThreads: 0, disks: [] };
  const files = { descriptors: 3, sockets: 1, softLimit: 1024 };
  const lines = cadvisorMetrics({ ...input, details: new Map([['/p/i', { at: 7, ...set, ...counted, files }]]) }).split(
    '\n',
  );
  const labels = 'container="main",id="/p/i",image="im",name="i",namespace="ns",pod="web"';
  for (const line of [
    `container_ulimits_soft{${labels},ulimit="max_open_files"} 1024 7`,
    `container_file_descriptors{${labels}} 3 7`,
    `container_spec_cpu_shares{${labels}} 2`,
  ])
    expect(lines).toContain(line);
});
