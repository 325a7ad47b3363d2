import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CgroupReader } from './cgroup-reader.js';
import { labelText, MetricsText } from './metrics-text.js';
import { parseNetDev } from '../../base/net-dev.js';
import { parsePressure } from './parse-proc.js';
import { SmallFiles } from './small-file.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'berth-stats-'));
});
afterEach(() => rmSync(root, { recursive: true }));

const layOut = (cgroup: string, files: Readonly<Record<string, string>>): void => {
  mkdirSync(join(root, cgroup), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, cgroup, name), text);
};

/** As Linux 6.1 writes them. */
const v2Files = {
  'cpu.stat':
    'usage_usec 2500\nuser_usec 2000\nsystem_usec 500\nnr_periods 10\nnr_throttled 3\nthrottled_usec 70\nnr_bursts 0\n',
  'memory.current': '20000\n',
  'memory.stat':
    'anon 8000\nfile 9000\nkernel 100\nfile_mapped 300\ninactive_anon 7\ninactive_file 5000\nactive_file 4000\npgfault 11\npgmajfault 2\n',
  'memory.max': '65536\n',
  'memory.events': 'low 0\nhigh 0\nmax 4\noom 2\noom_kill 1\noom_group_kill 0\n',
  'memory.swap.current': '12\n',
  'memory.swap.max': 'max\n',
  'pids.current': '5\n',
  'cgroup.procs': '10\n11\n',
  'cpu.pressure':
    'some avg10=1.50 avg60=0.25 avg300=0.00 total=12345\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n',
};

test('a v2 cgroup, from files laid out as the kernel does', () => {
  layOut('pod', v2Files);
  const reader = new CgroupReader({ version: 2, root }, new SmallFiles());
  expect(reader.read('/pod', { cpuLimited: true, full: true })).toEqual({
    cpu: {
      totalNs: 2_500_000,
      userNs: 2_000_000,
      systemNs: 500_000,
      throttling: { periods: 10, throttledPeriods: 3, throttledNs: 70_000 },
    },
    memory: {
      usage: 20_000,
      workingSet: 15_000,
      rss: 8000,
      cache: 9000,
      mappedFile: 300,
      activeFile: 4000,
      inactiveFile: 5000,
      pageFaults: 11,
      majorPageFaults: 2,
      limit: 65_536,
      failures: 4,
    },
    swap: { usage: 12, limit: undefined },
    threads: 5,
    processes: 2,
    pressure: {
      cpu: {
        some: { avg10: 1.5, avg60: 0.25, avg300: 0, totalUs: 12_345 },
        full: { avg10: 0, avg60: 0, avg300: 0, totalUs: 7 },
      },
      memory: undefined,
      io: undefined,
    },
    oomKills: 1,
  });
});

test('the root of v2 has no memory files: what is not free is in use', () => {
  layOut('', { 'cpu.stat': v2Files['cpu.stat'], 'memory.stat': v2Files['memory.stat'] });
  layOut('proc', { meminfo: 'MemTotal:  100 kB\nMemFree:  60 kB\nSwapTotal:  8 kB\nSwapFree:  8 kB\n' });
  const { memory, swap } = new CgroupReader({ version: 2, root }, new SmallFiles(), join(root, 'proc')).readRoot();
  expect(memory).toMatchObject({ usage: 40 * 1024, workingSet: 40 * 1024 - 5000 });
  expect(swap).toEqual({ usage: 0, limit: 8192 });
});

test('a cgroup that is gone has nothing to tell, and that is no failure', () => {
  const usage = new CgroupReader({ version: 2, root }, new SmallFiles()).read('/none', {
    cpuLimited: true,
    full: true,
  });
  expect(usage).toEqual({
    cpu: undefined,
    memory: undefined,
    swap: undefined,
    processes: undefined,
    pressure: undefined,
    oomKills: undefined,
  });
});

test('a file longer than a page comes whole', () => {
  const text = `${'x'.repeat(63)}\n`.repeat(2000);
  writeFileSync(join(root, 'long'), text);
  expect(new SmallFiles().text(join(root, 'long'))).toBe(text);
});

test('interfaces without the loopback, and pressure where the kernel keeps it', () => {
  const text =
    'Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo:       1       2    0    0    0     0          0         0        1       2    0    0    0     0       0          0\n  eth0:    1000      10    1    2    0     0          0         0     2000      20    3    4    0     0       0          0\n';
  expect(parseNetDev(text)).toEqual([
    {
      name: 'eth0',
      rxBytes: 1000,
      rxPackets: 10,
      rxErrors: 1,
      rxDropped: 2,
      txBytes: 2000,
      txPackets: 20,
      txErrors: 3,
      txDropped: 4,
    },
  ]);
  expect(parsePressure(undefined)).toBeUndefined();
});

test('metrics of one family stand together, labels are escaped, what is unknown is left out', () => {
  const text = new MetricsText();
  text.declare('a', 'gauge', 'About a.');
  text.declare('b', 'counter', 'About b.');
  text.add('a', labelText({ x: 'one "two"\n' }), 1, 1000);
  text.add('b', '', undefined);
  text.add('a', '', 2);
  expect(text.toString()).toBe('# HELP a About a.\n# TYPE a gauge\na{x="one \\"two\\"\\n"} 1 1000\na 2\n');
});
