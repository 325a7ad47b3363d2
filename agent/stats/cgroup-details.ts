import { readdirSync, readlinkSync } from 'node:fs';
import type { CgroupHierarchy } from '../resources/cgroups/hierarchy.js';
import type { BlockDevices } from './block-devices.js';
import type { SmallFiles } from './small-file.js';

/** What only `/metrics/cadvisor` tells of a cgroup. */
export interface CgroupDetails {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly cpuShares: number | undefined;
  readonly cpuPeriodUs: number | undefined;
  /** Undefined without a limit. */
  readonly cpuQuotaUs: number | undefined;
  /** The highest memory usage there was; undefined where the kernel does not keep it. */
  readonly maxMemory: number | undefined;
  readonly kernelMemory: number | undefined;
  readonly memoryFailures: number | undefined;
  /** 0 for no limit. */
  readonly memoryLimit: number | undefined;
  readonly swapLimit: number | undefined;
  readonly memoryReservation: number | undefined;
  /** 0 for no limit. */
  readonly maxThreads: number | undefined;
  readonly disks: readonly DiskTraffic[];
  readonly files: OpenFiles | undefined;
}

export interface DiskTraffic {
  readonly device: string;
  readonly major: string;
  readonly minor: string;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly reads: number;
  readonly writes: number;
  /** Bytes by what the kernel calls them: `Read`, `Write`, and on cgroup v1 `Sync`, `Async`, `Discard`, `Total`. */
  readonly bytesBy: ReadonlyMap<string, number>;
}

export interface OpenFiles {
  readonly descriptors: number;
  readonly sockets: number;
  /** Of the first process; -1 for no limit. */
  readonly softLimit: number | undefined;
}

/** From this on a limit means none: the largest numbers of pages the kernel writes. */
const unlimited = 2 ** 62;

export interface CgroupDetailsDeps {
  readonly hierarchy: CgroupHierarchy;
  readonly files: SmallFiles;
  readonly devices: BlockDevices;
  readonly procDir?: string | undefined;
}

/**
 * Twenty files a cgroup cost too much to be read at each scrape for each of hundreds: what was not seen yet is read at once, of the rest the oldest
 * part. Each sample says when it was read.
 */
export class DetailsOfCgroups {
  readonly #deps: CgroupDetailsDeps;
  readonly #known = new Map<string, CgroupDetails>();

  constructor(deps: CgroupDetailsDeps) {
    this.#deps = deps;
  }

  /** Of all these cgroups; others are forgotten. `share`: how much of what is known is read anew. */
  of(
    cgroups: ReadonlyMap<string, { readonly openFiles: boolean }>,
    at: number,
    share: number,
  ): ReadonlyMap<string, CgroupDetails> {
    for (const cgroup of this.#known.keys()) if (!cgroups.has(cgroup)) this.#known.delete(cgroup);
    // Read ones move to the end: the order of the map is their age.
    const oldest = [...this.#known.keys()].slice(0, Math.ceil(this.#known.size * share));
    const unseen = [...cgroups.keys()].filter((cgroup) => !this.#known.has(cgroup));
    for (const cgroup of [...oldest, ...unseen]) {
      this.#known.delete(cgroup);
      this.#known.set(cgroup, this.#read(cgroup, cgroups.get(cgroup)?.openFiles === true, at));
    }
    return this.#known;
  }

  #read(cgroup: string, openFiles: boolean, at: number): CgroupDetails {
    const { hierarchy } = this.#deps;
    const limits = hierarchy.version === 2 ? this.#readV2(hierarchy.root + cgroup) : this.#readV1(cgroup);
    return { at, ...limits, files: openFiles ? this.#openFiles(cgroup) : undefined };
  }

  #folder(controller: string, cgroup: string): string | undefined {
    const { hierarchy } = this.#deps;
    if (hierarchy.version === 2) return hierarchy.root + cgroup;
    const root = hierarchy.controllers.get(controller);
    return root === undefined ? undefined : root + cgroup;
  }

  #readV2(folder: string): Omit<CgroupDetails, 'at' | 'files'> {
    const { files } = this.#deps;
    const [quota, period] = (files.text(`${folder}/cpu.max`) ?? '').trim().split(' ');
    const weight = files.number(`${folder}/cpu.weight`);
    const hasMemory = files.text(`${folder}/memory.max`) !== undefined;
    const limit = (name: string): number | undefined =>
      hasMemory ? (files.number(`${folder}/${name}`) ?? 0) : undefined;
    const kernel = /^kernel (\d+)$/m.exec(files.text(`${folder}/memory.stat`) ?? '')?.[1];
    const failures = /^max (\d+)$/m.exec(files.text(`${folder}/memory.events`) ?? '')?.[1];
    return {
      // The scale of v1, on which dashboards compare.
      cpuShares: weight === undefined ? undefined : 2 + Math.floor(((weight - 1) * 262_142) / 9999),
      cpuPeriodUs: period === undefined ? undefined : Number(period),
      cpuQuotaUs: quota === undefined || quota === '' || quota === 'max' ? undefined : Number(quota),
      maxMemory: files.number(`${folder}/memory.peak`),
      kernelMemory: kernel === undefined ? undefined : Number(kernel),
      memoryFailures: failures === undefined ? undefined : Number(failures),
      memoryLimit: limit('memory.max'),
      swapLimit: limit('memory.swap.max'),
      memoryReservation: limit('memory.min'),
      maxThreads: this.#maxThreads(folder),
      disks: diskTrafficOfV2(files.text(`${folder}/io.stat`) ?? '', this.#deps.devices),
    };
  }

  #readV1(cgroup: string): Omit<CgroupDetails, 'at' | 'files'> {
    const number = (controller: string, name: string): number | undefined => {
      const folder = this.#folder(controller, cgroup);
      return folder === undefined ? undefined : this.#deps.files.number(`${folder}/${name}`);
    };
    const limit = (name: string): number | undefined => {
      const value = number('memory', name);
      return value !== undefined && value >= unlimited ? 0 : value;
    };
    const quota = number('cpu', 'cpu.cfs_quota_us') ?? -1;
    const blkio = this.#folder('blkio', cgroup);
    const ioText = (name: string): string =>
      blkio === undefined ? '' : (this.#deps.files.text(`${blkio}/blkio.throttle.${name}_recursive`) ?? '');
    return {
      cpuShares: number('cpu', 'cpu.shares'),
      cpuPeriodUs: number('cpu', 'cpu.cfs_period_us'),
      cpuQuotaUs: quota < 0 ? undefined : quota,
      maxMemory: number('memory', 'memory.max_usage_in_bytes'),
      kernelMemory: number('memory', 'memory.kmem.usage_in_bytes'),
      memoryFailures: number('memory', 'memory.failcnt'),
      memoryLimit: limit('memory.limit_in_bytes'),
      swapLimit: limit('memory.memsw.limit_in_bytes'),
      memoryReservation: limit('memory.soft_limit_in_bytes'),
      maxThreads: this.#maxThreads(this.#folder('pids', cgroup)),
      disks: diskTrafficOfV1(ioText('io_service_bytes'), ioText('io_serviced'), this.#deps.devices),
    };
  }

  #maxThreads(folder: string | undefined): number | undefined {
    if (folder === undefined) return undefined;
    const text = this.#deps.files.text(`${folder}/pids.max`);
    return text === undefined ? undefined : Number.parseInt(text, 10) || 0;
  }

  #openFiles(cgroup: string): OpenFiles | undefined {
    const folder = this.#folder('memory', cgroup);
    const text = folder === undefined ? undefined : this.#deps.files.text(`${folder}/cgroup.procs`);
    if (text === undefined) return undefined;
    const procDir = this.#deps.procDir ?? '/proc';
    const pids = text.split('\n').filter((pid) => pid !== '');
    let descriptors = 0;
    let sockets = 0;
    for (const pid of pids) {
      const links = linksIn(`${procDir}/${pid}/fd`);
      descriptors += links.length;
      sockets += links.filter((link) => link.startsWith('socket:')).length;
    }
    const [first] = pids;
    const limits = first === undefined ? undefined : this.#deps.files.text(`${procDir}/${first}/limits`);
    return { descriptors, sockets, softLimit: softFileLimit(limits ?? '') };
  }
}

function softFileLimit(limits: string): number | undefined {
  const soft = /^Max open files\s+(\S+)/m.exec(limits)?.[1];
  if (soft === undefined) return undefined;
  return soft === 'unlimited' ? -1 : Number(soft);
}

/** What the entries of a folder point to; those that go meanwhile point nowhere. */
function linksIn(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => {
      try {
        return readlinkSync(`${folder}/${name}`);
      } catch {
        return '';
      }
    });
  } catch {
    // The process ended.
    return [];
  }
}

/** Lines `254:0 Read 4096`. */
export function diskTrafficOfV1(bytes: string, operations: string, devices: BlockDevices): DiskTraffic[] {
  const counted = numbersByDevice(operations);
  return [...numbersByDevice(bytes)].map(([numbers, bytesBy]) => {
    const [major = '', minor = ''] = numbers.split(':');
    const done = counted.get(numbers);
    return {
      device: devices.name(numbers) || numbers,
      major,
      minor,
      readBytes: bytesBy.get('Read') ?? 0,
      writtenBytes: bytesBy.get('Write') ?? 0,
      reads: done?.get('Read') ?? 0,
      writes: done?.get('Write') ?? 0,
      bytesBy,
    };
  });
}

function numbersByDevice(text: string): ReadonlyMap<string, ReadonlyMap<string, number>> {
  const found = new Map<string, Map<string, number>>();
  for (const [, numbers = '', operation = '', value] of text.matchAll(/^(\d+:\d+) (\w+) (\d+)$/gm)) {
    const by = found.get(numbers) ?? new Map<string, number>();
    found.set(numbers, by);
    by.set(operation, Number(value));
  }
  return found;
}

/** Lines `254:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`. */
export function diskTrafficOfV2(text: string, devices: BlockDevices): DiskTraffic[] {
  return [...text.matchAll(/^(\d+):(\d+) (.*rbytes.*)$/gm)].map(([, major = '', minor = '', fields = '']) => {
    const values = new Map(fields.split(' ').map((field) => [field.split('=')[0], Number(field.split('=')[1])]));
    const of = (key: string): number => values.get(key) ?? 0;
    return {
      device: devices.name(`${major}:${minor}`) || `${major}:${minor}`,
      major,
      minor,
      readBytes: of('rbytes'),
      writtenBytes: of('wbytes'),
      reads: of('rios'),
      writes: of('wios'),
      bytesBy: new Map([
        ['Read', of('rbytes')],
        ['Write', of('wbytes')],
      ]),
    };
  });
}
