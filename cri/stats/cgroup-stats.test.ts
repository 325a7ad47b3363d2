import { expect, test } from 'vitest';
import { parsePsi, parseV1, parseV2 } from './cgroup-stats.js';

const psi = 'some avg10=1.50 avg60=0.25 avg300=0.00 total=12345\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n';

/** Files of a container's cgroup as Linux 6.1 writes them. */
const v2: Readonly<Record<string, string>> = {
  'cpu.stat': 'usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_periods 4\nnr_throttled 3\nthrottled_usec 9\n',
  'memory.stat': 'anon 4096\nfile 8192\ninactive_file 1000\npgfault 12\npgmajfault 2\n',
  'memory.current': '20000\n',
  'memory.max': 'max\n',
  'memory.swap.current': '77\n',
  'pids.current': '5\n',
  'memory.events': 'low 0\nhigh 0\nmax 1\noom 2\noom_kill 1\noom_group_kill 0\n',
  'cpu.pressure': psi,
  'memory.pressure': psi,
  'io.pressure': psi,
};

test('v2', () => {
  expect(parseV2((file) => v2[file])).toMatchObject({
    cpuNanos: 1_500_000,
    cpuUserNanos: 1_000_000,
    throttledPeriods: 3,
    memoryUsage: 20_000,
    memoryWorkingSet: 19_000,
    memoryRss: 4096,
    memoryLimit: 0,
    swapUsage: 77,
    pageFaults: 12,
    majorPageFaults: 2,
    processes: 5,
    oomKills: 1,
  });
  expect(parseV2((file) => ({ ...v2, 'memory.max': '1048576\n' })[file])?.memoryLimit).toBe(1_048_576);
});

test('v2 without pressure information, and a cgroup that is gone', () => {
  expect(parseV2((file) => (file.endsWith('.pressure') ? undefined : v2[file]))?.psi).toBeUndefined();
  expect(parseV2(() => undefined)).toBeUndefined();
});

test('v1: swap is what the sum has over the memory, an unlimited limit is none', () => {
  const files: Readonly<Record<string, string>> = {
    'cpuacct.usage': '42\n',
    'memory.usage_in_bytes': '5000\n',
    'memory.memsw.usage_in_bytes': '5100\n',
    'memory.limit_in_bytes': '9223372036854771712\n',
    'memory.stat': 'total_rss 3000\ntotal_inactive_file 6000\ntotal_pgfault 1\n',
    'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 4\n',
    'pids.current': '1\n',
  };
  expect(parseV1((_, file) => files[file])).toMatchObject({
    cpuNanos: 42,
    memoryWorkingSet: 0,
    memoryRss: 3000,
    memoryLimit: 0,
    swapUsage: 100,
    oomKills: 4,
    processes: 1,
  });
  expect(parseV1(() => undefined)).toBeUndefined();
});

test('pressure', () => {
  expect(parsePsi(psi).Some).toEqual({ Total: 12_345_000, Avg10: 1.5, Avg60: 0.25, Avg300: 0 });
});
