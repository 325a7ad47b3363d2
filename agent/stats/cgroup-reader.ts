import type { CgroupHierarchy } from '../resources/cgroups/hierarchy.js';
import { parseMeminfo, parsePressure } from './parse-proc.js';
import { readFields, type TextFiles } from './small-file.js';
import type { CgroupUsage, CpuUsage, MemoryUsage, Pressures, SwapUsage } from './usage.js';

type RawCpu = Omit<CpuUsage, 'nanoCores'>;
export type RawUsage = Omit<CgroupUsage, 'cpu' | 'at'> & { readonly cpu: RawCpu | undefined };

/** From this on a v1 limit means none (the largest page-aligned 64-bit number). */
const unlimited = 2 ** 62;
const nsPerTick = 10_000_000;
/** Of a machine that has none. */
const noSwap: SwapUsage = { usage: 0, limit: 0 };
const noFields: ReadonlyMap<string, number> = new Map();

const v1Memory = new Set([
  'hierarchical_memory_limit',
  'hierarchical_memsw_limit',
  'total_cache',
  'total_rss',
  'total_mapped_file',
  'total_swap',
  'total_pgfault',
  'total_pgmajfault',
  'total_inactive_file',
  'total_active_file',
]);
const v2Memory = new Set(['anon', 'file', 'file_mapped', 'inactive_file', 'active_file', 'pgfault', 'pgmajfault']);
const v2Cpu = new Set(['usage_usec', 'user_usec', 'system_usec', 'nr_periods', 'nr_throttled', 'throttled_usec']);
const v1CpuStat = new Set(['nr_periods', 'nr_throttled', 'throttled_time']);
const v1CpuAcct = new Set(['user', 'system']);

/** How closely a cgroup is looked at: each file costs some ten microseconds, and there are many cgroups. */
export interface ReadDetail {
  /** It has a CPU limit of its own, or one above it: only then it can be throttled. */
  readonly cpuLimited: boolean;
  /** User and system time apart, processes killed for want of memory. */
  readonly full: boolean;
}

/** Usage of cgroups straight from their files; a file that is not there leaves its part undefined. */
export class CgroupReader {
  readonly #hierarchy: CgroupHierarchy;
  readonly #files: TextFiles;
  readonly #procDir: string;
  #hasSwap = true;

  constructor(hierarchy: CgroupHierarchy, files: TextFiles, procDir = '/proc') {
    this.#hierarchy = hierarchy;
    this.#files = files;
    this.#procDir = procDir;
  }

  read(cgroup: string, detail: ReadDetail): RawUsage {
    return this.#hierarchy.version === 2
      ? this.#readV2(this.#hierarchy.root + cgroup, detail)
      : this.#readV1(cgroup, detail);
  }

  /** Swap is looked at from now on, or not: a machine without any has nothing to tell. */
  set hasSwap(hasSwap: boolean) {
    this.#hasSwap = hasSwap;
  }

  /** The whole machine. On v2 the root has no memory files: what is not free is in use. */
  readRoot(): RawUsage {
    const usage = this.read('', { cpuLimited: false, full: true });
    const pressure = this.#pressures(`${this.#procDir}/pressure`, '');
    if (this.#hierarchy.version === 1) return { ...usage, pressure };
    const info = parseMeminfo(this.#files.text(`${this.#procDir}/meminfo`) ?? '');
    const stat = readFields(this.#files.text(`${this.#hierarchy.root}/memory.stat`) ?? '', v2Memory);
    const used = (info.get('MemTotal') ?? 0) - (info.get('MemFree') ?? 0);
    const swapTotal = info.get('SwapTotal') ?? 0;
    return {
      ...usage,
      memory: memoryOfV2(used, stat, undefined, undefined),
      swap: { usage: swapTotal - (info.get('SwapFree') ?? 0), limit: swapTotal },
      pressure,
    };
  }

  /** A process of the cgroup itself or of one right below it; undefined while it is empty. */
  aProcess(cgroup: string): number | undefined {
    const folder = this.#folder('memory', cgroup);
    return folder === undefined ? undefined : this.#files.number(`${folder}/cgroup.procs`);
  }

  #processes(folder: string): number | undefined {
    const text = this.#files.text(`${folder}/cgroup.procs`);
    return text?.split('\n').filter((line) => line !== '').length;
  }

  #folder(controller: string, cgroup: string): string | undefined {
    if (this.#hierarchy.version === 2) return this.#hierarchy.root + cgroup;
    const root = this.#hierarchy.controllers.get(controller);
    return root === undefined ? undefined : root + cgroup;
  }

  #readV2(folder: string, { full }: ReadDetail): RawUsage {
    const files = this.#files;
    const current = files.number(`${folder}/memory.current`);
    const cpu = files.text(`${folder}/cpu.stat`);
    const events = current === undefined || !full ? undefined : files.text(`${folder}/memory.events`);
    const counted = readFields(events ?? '', new Set(['max', 'oom_kill']));
    return {
      cpu: cpu === undefined ? undefined : cpuOfV2(readFields(cpu, v2Cpu)),
      memory:
        current === undefined
          ? undefined
          : memoryOfV2(
              current,
              readFields(files.text(`${folder}/memory.stat`) ?? '', v2Memory),
              files.number(`${folder}/memory.max`),
              counted.get('max'),
            ),
      swap: current === undefined ? undefined : this.#swapOfV2(folder),
      threads: files.number(`${folder}/pids.current`),
      processes: full ? this.#processes(folder) : undefined,
      pressure: this.#pressures(folder, '.pressure'),
      oomKills: counted.get('oom_kill'),
    };
  }

  #swapOfV2(folder: string): SwapUsage | undefined {
    if (!this.#hasSwap) return noSwap;
    const usage = this.#files.number(`${folder}/memory.swap.current`);
    return usage === undefined ? undefined : { usage, limit: this.#files.number(`${folder}/memory.swap.max`) };
  }

  #pressures(folder: string, suffix: string): Pressures | undefined {
    const cpu = parsePressure(this.#files.text(`${folder}/cpu${suffix}`));
    if (!cpu) return undefined;
    return {
      cpu,
      memory: parsePressure(this.#files.text(`${folder}/memory${suffix}`)),
      io: parsePressure(this.#files.text(`${folder}/io${suffix}`)),
    };
  }

  #readV1(cgroup: string, detail: ReadDetail): RawUsage {
    const memory = this.#folder('memory', cgroup);
    const pids = this.#folder('pids', cgroup);
    const stat = memory === undefined ? undefined : this.#files.text(`${memory}/memory.stat`);
    const usage = memory === undefined ? undefined : this.#files.number(`${memory}/memory.usage_in_bytes`);
    const fields = readFields(stat ?? '', v1Memory);
    const oom = memory === undefined || !detail.full ? undefined : this.#files.text(`${memory}/memory.oom_control`);
    return {
      cpu: this.#cpuOfV1(cgroup, detail),
      memory: usage === undefined ? undefined : memoryOfV1(usage, fields),
      swap: this.#hasSwap ? swapOfV1(fields) : usage === undefined ? undefined : noSwap,
      threads: pids === undefined ? undefined : this.#files.number(`${pids}/pids.current`),
      processes: memory === undefined || !detail.full ? undefined : this.#processes(memory),
      pressure: undefined,
      oomKills: readFields(oom ?? '', new Set(['oom_kill'])).get('oom_kill'),
    };
  }

  #cpuOfV1(cgroup: string, { cpuLimited, full }: ReadDetail): RawCpu | undefined {
    const accounting = this.#folder('cpuacct', cgroup);
    const total = accounting === undefined ? undefined : this.#files.number(`${accounting}/cpuacct.usage`);
    if (accounting === undefined || total === undefined) return undefined;
    const ticks = full ? readFields(this.#files.text(`${accounting}/cpuacct.stat`) ?? '', v1CpuAcct) : noFields;
    const cpu = cpuLimited ? this.#folder('cpu', cgroup) : undefined;
    const stat = cpu === undefined ? noFields : readFields(this.#files.text(`${cpu}/cpu.stat`) ?? '', v1CpuStat);
    const periods = stat.get('nr_periods') ?? 0;
    const inNs = (value: number | undefined): number | undefined =>
      value === undefined ? undefined : value * nsPerTick;
    return {
      totalNs: total,
      userNs: inNs(ticks.get('user')),
      systemNs: inNs(ticks.get('system')),
      throttling:
        periods === 0
          ? undefined
          : {
              periods,
              throttledPeriods: stat.get('nr_throttled') ?? 0,
              throttledNs: stat.get('throttled_time') ?? 0,
            },
    };
  }
}

function cpuOfV2(fields: ReadonlyMap<string, number>): RawCpu {
  const ns = (key: string): number => (fields.get(key) ?? 0) * 1000;
  const periods = fields.get('nr_periods') ?? 0;
  return {
    totalNs: ns('usage_usec'),
    userNs: ns('user_usec'),
    systemNs: ns('system_usec'),
    throttling:
      periods === 0
        ? undefined
        : { periods, throttledPeriods: fields.get('nr_throttled') ?? 0, throttledNs: ns('throttled_usec') },
  };
}

function memoryOfV2(
  usage: number,
  fields: ReadonlyMap<string, number>,
  limit: number | undefined,
  failures: number | undefined,
): MemoryUsage {
  return {
    usage,
    workingSet: Math.max(usage - (fields.get('inactive_file') ?? 0), 0),
    rss: fields.get('anon') ?? 0,
    cache: fields.get('file') ?? 0,
    mappedFile: fields.get('file_mapped') ?? 0,
    activeFile: fields.get('active_file') ?? 0,
    inactiveFile: fields.get('inactive_file') ?? 0,
    pageFaults: fields.get('pgfault') ?? 0,
    majorPageFaults: fields.get('pgmajfault') ?? 0,
    limit,
    failures,
  };
}

function memoryOfV1(usage: number, fields: ReadonlyMap<string, number>): MemoryUsage {
  const limit = fields.get('hierarchical_memory_limit');
  return {
    usage,
    workingSet: Math.max(usage - (fields.get('total_inactive_file') ?? 0), 0),
    rss: fields.get('total_rss') ?? 0,
    cache: fields.get('total_cache') ?? 0,
    mappedFile: fields.get('total_mapped_file') ?? 0,
    activeFile: fields.get('total_active_file') ?? 0,
    inactiveFile: fields.get('total_inactive_file') ?? 0,
    pageFaults: fields.get('total_pgfault') ?? 0,
    majorPageFaults: fields.get('total_pgmajfault') ?? 0,
    limit: limit === undefined || limit >= unlimited ? undefined : limit,
    failures: undefined,
  };
}

function swapOfV1(fields: ReadonlyMap<string, number>): SwapUsage | undefined {
  const usage = fields.get('total_swap');
  if (usage === undefined) return undefined;
  const both = fields.get('hierarchical_memsw_limit') ?? unlimited;
  const memory = fields.get('hierarchical_memory_limit') ?? unlimited;
  return { usage, limit: both >= unlimited ? undefined : Math.max(both - memory, 0) };
}
