import { expect, test } from 'vitest';
import { countersV1, countersV2, readMetricCounters } from './metric-counters.js';

const from =
  (files: Readonly<Record<string, string>>) =>
  (_controller: string, file: string): string | undefined =>
    files[file];

test('v2: periods, peaks, traffic of devices; a device without counters is none', () => {
  const counters = countersV2(
    from({
      'cpu.stat': 'usage_usec 1500\nnr_periods 40\nnr_throttled 3\nthrottled_usec 2500000\n',
      'memory.stat': 'anon 1\nkernel 5000\nfile_mapped 700\n',
      'memory.events': 'low 0\nhigh 0\nmax 6\noom 2\n',
      'memory.peak': '90000\n',
      'memory.low': '0\n',
      'io.stat': '254:16 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n7:0\n',
      'hugetlb.2MB.current': '2097152\n',
    }),
    ['2MB', '1GB'],
  );
  expect(counters).toMatchObject({
    periods: 40,
    throttledSeconds: 2,
    memoryFailures: 6,
    kernelMemory: 5000,
    mappedFile: 700,
    memoryPeak: 90_000,
    memoryReservation: 0,
    hugepages: [{ pageSize: '2MB', usage: 2_097_152, peak: undefined }],
  });
  expect(counters.devices).toMatchObject([
    { major: '254', minor: '16', reads: 1, writes: 2, readBytes: 4096, writtenBytes: 8192 },
  ]);
});

test('v1: the same from its own files; a soft limit that is none is 0', () => {
  const counters = countersV1(
    from({
      'cpu.stat': 'nr_periods 4\nnr_throttled 1\nthrottled_time 3000000000\n',
      'memory.stat': 'mapped_file 1\ntotal_mapped_file 300\n',
      'memory.failcnt': '2\n',
      'memory.kmem.usage_in_bytes': '1234\n',
      'memory.max_usage_in_bytes': '5678\n',
      'memory.soft_limit_in_bytes': '9223372036854771712\n',
      'blkio.throttle.io_serviced_recursive': '8:0 Read 3\n8:0 Write 4\n8:0 Total 7\nTotal 7\n',
      'blkio.throttle.io_service_bytes_recursive': '8:0 Read 300\n8:0 Write 400\n8:0 Total 700\nTotal 700\n',
      'hugetlb.2MB.usage_in_bytes': '0\n',
      'hugetlb.2MB.max_usage_in_bytes': '2097152\n',
    }),
    ['2MB'],
  );
  expect(counters).toMatchObject({
    periods: 4,
    throttledSeconds: 3,
    memoryFailures: 2,
    kernelMemory: 1234,
    mappedFile: 300,
    memoryPeak: 5678,
    memoryReservation: 0,
    hugepages: [{ pageSize: '2MB', usage: 0, peak: 2_097_152 }],
  });
  expect(counters.devices).toMatchObject([
    { major: '8', minor: '0', reads: 3, writes: 4, readBytes: 300, writtenBytes: 400 },
  ]);
});

test('a cgroup that has just gone counts nothing', () => {
  const host = { cgroupVersion: 2, cgroupMount: () => '/nonexistent', hugepageSizes: ['2MB'] } as const;
  expect(readMetricCounters(host, '/gone', process.pid)).toMatchObject({
    periods: 0,
    devices: [],
    hugepages: [],
    processes: 0,
    threadsMax: 0,
    files: 0,
  });
});
