import { readFileSync } from 'node:fs';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { errnoOf } from '../../base/errors.js';
import type { CgroupHost } from './cgroup-host.js';
import { innerCgroup } from './inner-cgroup.js';

/** Counters of one cgroup, of either version, in base units. */
export interface CgroupStats {
  readonly cpuNanos: number;
  readonly cpuUserNanos: number;
  readonly cpuSystemNanos: number;
  readonly throttledPeriods: number;
  readonly memoryUsage: number;
  readonly memoryWorkingSet: number;
  readonly memoryRss: number;
  readonly memoryCache: number;
  /** 0 for none. */
  readonly memoryLimit: number;
  readonly swapUsage: number;
  readonly pageFaults: number;
  readonly majorPageFaults: number;
  readonly processes: number;
  readonly oomKills: number;
  readonly psi?: { readonly cpu: v1.PsiStats; readonly memory: v1.PsiStats; readonly io: v1.PsiStats } | undefined;
}

/** v1 writes this page-aligned number for "no limit". */
const v1Unlimited = 0x7ffffffffffff000;

/** Undefined when the cgroup is gone. `read` returns a file's text below the hierarchy of a controller. */
export function readCgroupStats(
  host: Pick<CgroupHost, 'cgroupVersion' | 'cgroupMount'>,
  cgroup: string,
): CgroupStats | undefined {
  const inner = innerCgroup(host, 'memory', cgroup);
  const read = (controller: string, file: string): string | undefined =>
    readIf(`${host.cgroupMount(controller)}${inner}/${file}`);
  return host.cgroupVersion === 2 ? parseV2((file) => read('', file)) : parseV1(read);
}

export function parseV2(read: (file: string) => string | undefined): CgroupStats | undefined {
  const cpu = read('cpu.stat');
  if (cpu === undefined) return undefined;
  const cpuStat = keyed(cpu);
  const memory = keyed(read('memory.stat') ?? '');
  const usage = number(read('memory.current'));
  const [cpuPsi, memoryPsi, ioPsi] = [read('cpu.pressure'), read('memory.pressure'), read('io.pressure')];
  return {
    cpuNanos: of(cpuStat, 'usage_usec') * 1000,
    cpuUserNanos: of(cpuStat, 'user_usec') * 1000,
    cpuSystemNanos: of(cpuStat, 'system_usec') * 1000,
    throttledPeriods: of(cpuStat, 'nr_throttled'),
    memoryUsage: usage,
    memoryWorkingSet: Math.max(0, usage - of(memory, 'inactive_file')),
    memoryRss: of(memory, 'anon'),
    memoryCache: of(memory, 'file'),
    memoryLimit: number(read('memory.max')),
    swapUsage: number(read('memory.swap.current')),
    pageFaults: of(memory, 'pgfault'),
    majorPageFaults: of(memory, 'pgmajfault'),
    processes: number(read('pids.current')),
    oomKills: of(keyed(read('memory.events') ?? ''), 'oom_kill'),
    psi:
      cpuPsi === undefined || memoryPsi === undefined || ioPsi === undefined
        ? undefined
        : { cpu: parsePsi(cpuPsi), memory: parsePsi(memoryPsi), io: parsePsi(ioPsi) },
  };
}

export function parseV1(read: (controller: string, file: string) => string | undefined): CgroupStats | undefined {
  const cpuNanos = read('cpuacct', 'cpuacct.usage');
  if (cpuNanos === undefined) return undefined;
  const memory = keyed(read('memory', 'memory.stat') ?? '');
  const usage = number(read('memory', 'memory.usage_in_bytes'));
  const withSwap = number(read('memory', 'memory.memsw.usage_in_bytes'));
  const limit = number(read('memory', 'memory.limit_in_bytes'));
  return {
    cpuNanos: number(cpuNanos),
    cpuUserNanos: number(read('cpuacct', 'cpuacct.usage_user')),
    cpuSystemNanos: number(read('cpuacct', 'cpuacct.usage_sys')),
    throttledPeriods: of(keyed(read('cpu', 'cpu.stat') ?? ''), 'nr_throttled'),
    memoryUsage: usage,
    memoryWorkingSet: Math.max(0, usage - of(memory, 'total_inactive_file')),
    memoryRss: of(memory, 'total_rss'),
    memoryCache: of(memory, 'total_cache'),
    memoryLimit: limit >= v1Unlimited ? 0 : limit,
    swapUsage: Math.max(0, withSwap - usage),
    pageFaults: of(memory, 'total_pgfault'),
    majorPageFaults: of(memory, 'total_pgmajfault'),
    processes: number(read('pids', 'pids.current')),
    oomKills: of(keyed(read('memory', 'memory.oom_control') ?? ''), 'oom_kill'),
  };
}

/** Pressure stall information: averages in percent, the total in microseconds. */
export function parsePsi(text: string): v1.PsiStats {
  const line = (name: string): v1.PsiData => {
    const found = text.split('\n').find((candidate) => candidate.startsWith(`${name} `)) ?? '';
    const value = (key: string): number => Number(new RegExp(`${key}=([0-9.]+)`).exec(found)?.[1] ?? 0);
    return {
      Total: value('total') * 1000,
      Avg10: value('avg10'),
      Avg60: value('avg60'),
      Avg300: value('avg300'),
    };
  };
  return { Full: line('full'), Some: line('some') };
}

function keyed(text: string): ReadonlyMap<string, number> {
  const map = new Map<string, number>();
  for (const line of text.split('\n')) {
    const at = line.indexOf(' ');
    if (at > 0) map.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return map;
}

const of = (map: ReadonlyMap<string, number>, key: string): number => map.get(key) ?? 0;

function number(text: string | undefined): number {
  const value = Number(text?.trim());
  return Number.isFinite(value) ? value : 0;
}

function readIf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (err) {
    const errno = errnoOf(err);
    // A controller that is not enabled, a kernel without PSI, a cgroup that has just gone.
    if (errno === 'ENOENT' || errno === 'ENODEV' || errno === 'EOPNOTSUPP') return undefined;
    throw err;
  }
}
