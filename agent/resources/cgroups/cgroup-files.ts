import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import type { Clock } from '../../../base/clock.js';
import { errnoOf } from '../../../base/errors.js';
import type { Logger } from '../../../base/log.js';
import { sharesOfWeight, weightOf } from '../cpu-shares.js';
import type { CgroupLimits } from './cgroup-limits.js';
import { cgroupFolders, type CgroupHierarchy } from './hierarchy.js';

/** v1 controllers in which the pod level is made here; the runtime makes the rest on its way down. */
const v1Made = ['cpu', 'memory', 'pids'] as const;
const v2Wanted = ['cpu', 'cpuset', 'memory', 'hugetlb', 'pids', 'io'];

const removeWithinMs = 5000;
const firstPauseMs = 2;
const longestPauseMs = 100;
/** v1 writes the largest whole number of pages for none. */
const v1Unlimited = 2 ** 62;

/**
 * Reads and writes cgroups as files, v1 and v2. Every call is synchronous: these are short calls into the kernel, each cheaper than
 * a trip through the thread pool, and they lie on the path of every pod's start and end.
 */
export class CgroupFiles {
  readonly hierarchy: CgroupHierarchy;
  readonly #log: Logger;
  readonly #clock: Clock;
  /** v2: controllers that the levels above were told to hand on. */
  #controllers = '';

  constructor(hierarchy: CgroupHierarchy, deps: { readonly log: Logger; readonly clock: Clock }) {
    this.hierarchy = hierarchy;
    this.#log = deps.log;
    this.#clock = deps.clock;
  }

  /** Makes a cgroup with all above it and has them hand their controllers down: for the few levels that are made once. */
  open(cgroup: string): void {
    const parts = cgroup.split('/').filter(Boolean);
    if (this.hierarchy.version === 2) this.#passDown('');
    for (let depth = 1; depth <= parts.length; depth++) {
      const level = `/${parts.slice(0, depth).join('/')}`;
      for (const folder of this.#madeFolders(level)) makeFolder(folder);
      if (this.hierarchy.version === 2) this.#passDown(level);
    }
  }

  /** Makes a cgroup right below one that is open. True when it was not there. */
  make(cgroup: string): boolean {
    let made = false;
    for (const folder of this.#madeFolders(cgroup)) made = makeFolder(folder) || made;
    if (made && this.hierarchy.version === 2 && this.#controllers !== '')
      writeFileSync(`${this.hierarchy.root}${cgroup}/cgroup.subtree_control`, this.#controllers);
    return made;
  }

  exists(cgroup: string): boolean {
    const folder = this.#folder('memory', cgroup) ?? this.#folder('cpu', cgroup);
    if (folder === undefined) return false;
    try {
      readFileSync(`${folder}/cgroup.procs`);
      return true;
    } catch {
      return false;
    }
  }

  limit(cgroup: string, limits: CgroupLimits): void {
    const { cpuShares, cpuQuotaUs, cpuPeriodUs = 100_000, memoryBytes, pids, hugepages } = limits;
    const v2 = this.hierarchy.version === 2;
    if (cpuShares !== undefined)
      this.#set('cpu', cgroup, v2 ? 'cpu.weight' : 'cpu.shares', v2 ? weightOf(cpuShares) : cpuShares);
    if (cpuQuotaUs !== undefined) {
      if (v2) this.#set('cpu', cgroup, 'cpu.max', `${cpuQuotaUs < 0 ? 'max' : cpuQuotaUs} ${cpuPeriodUs}`);
      else {
        this.#set('cpu', cgroup, 'cpu.cfs_period_us', cpuPeriodUs);
        this.#set('cpu', cgroup, 'cpu.cfs_quota_us', cpuQuotaUs);
      }
    }
    if (memoryBytes !== undefined) {
      if (v2) this.#set('memory', cgroup, 'memory.max', memoryBytes < 0 ? 'max' : memoryBytes);
      else this.#set('memory', cgroup, 'memory.limit_in_bytes', memoryBytes);
    }
    if (pids !== undefined) this.#set('pids', cgroup, 'pids.max', pids < 0 ? 'max' : pids);
    for (const [size, bytes] of hugepages ?? [])
      this.#set('hugetlb', cgroup, v2 ? `hugetlb.${size}.max` : `hugetlb.${size}.limit_in_bytes`, bytes);
  }

  /** CPU and memory limits as the kernel has them; undefined for what is not limited or not there. */
  limits(cgroup: string): CgroupLimits {
    if (this.hierarchy.version === 2) {
      const [quota = 'max', period = '100000'] = this.#read('cpu', cgroup, 'cpu.max')?.split(' ') ?? [];
      const weight = number(this.#read('cpu', cgroup, 'cpu.weight'));
      return {
        cpuShares: weight === undefined ? undefined : sharesOfWeight(weight),
        cpuQuotaUs: quota === 'max' ? undefined : Number(quota),
        cpuPeriodUs: Number(period),
        memoryBytes: number(this.#read('memory', cgroup, 'memory.max')),
      };
    }
    const quota = number(this.#read('cpu', cgroup, 'cpu.cfs_quota_us'));
    const memory = number(this.#read('memory', cgroup, 'memory.limit_in_bytes'));
    return {
      cpuShares: number(this.#read('cpu', cgroup, 'cpu.shares')),
      cpuQuotaUs: quota === undefined || quota < 0 ? undefined : quota,
      cpuPeriodUs: number(this.#read('cpu', cgroup, 'cpu.cfs_period_us')),
      memoryBytes: memory === undefined || memory >= v1Unlimited ? undefined : memory,
    };
  }

  memoryUse(cgroup: string): number | undefined {
    return number(
      this.#read('memory', cgroup, this.hierarchy.version === 2 ? 'memory.current' : 'memory.usage_in_bytes'),
    );
  }

  /** Names of the cgroups right below, in any controller. */
  children(cgroup: string): ReadonlySet<string> {
    return new Set(cgroupFolders(this.hierarchy, cgroup).flatMap((folder) => foldersIn(folder)));
  }

  /** Ends everything in a cgroup and removes it with those below it. Idempotent. */
  async remove(cgroup: string, signal: AbortSignal): Promise<void> {
    for (const folder of cgroupFolders(this.hierarchy, cgroup)) await this.#removeTree(folder, signal);
  }

  async #removeTree(folder: string, signal: AbortSignal): Promise<void> {
    // Most often there is no such cgroup (any more), or nothing in it: one call says so.
    if (removed(folder)) return;
    for (const name of foldersIn(folder)) await this.#removeTree(`${folder}/${name}`, signal);
    const deadline = this.#clock.now() + removeWithinMs;
    let pause = firstPauseMs;
    while (!removed(folder)) {
      killAll(folder);
      if (this.#clock.now() >= deadline)
        throw new Error(`remove cgroup ${folder}: processes in it did not end within ${removeWithinMs} ms of SIGKILL`);
      await this.#clock.sleep(pause, signal);
      pause = Math.min(pause * 2, longestPauseMs);
    }
  }

  #folder(controller: string, cgroup: string): string | undefined {
    if (this.hierarchy.version === 2) return this.hierarchy.root + cgroup;
    const root = this.hierarchy.controllers.get(controller);
    return root === undefined ? undefined : root + cgroup;
  }

  #madeFolders(cgroup: string): readonly string[] {
    if (this.hierarchy.version === 2) return [this.hierarchy.root + cgroup];
    return v1Made.flatMap((controller) => this.#folder(controller, cgroup) ?? []);
  }

  #passDown(cgroup: string): void {
    if (this.hierarchy.version !== 2) return;
    const folder = this.hierarchy.root + cgroup;
    const words = (file: string): string[] => readFileSync(`${folder}/${file}`, 'utf8').trim().split(' ');
    const offered = new Set(words('cgroup.controllers'));
    const given = new Set(words('cgroup.subtree_control'));
    const wanted = v2Wanted.filter((name) => offered.has(name));
    this.#controllers = wanted.map((name) => `+${name}`).join(' ');
    if (wanted.some((name) => !given.has(name))) writeFileSync(`${folder}/cgroup.subtree_control`, this.#controllers);
  }

  #read(controller: string, cgroup: string, file: string): string | undefined {
    const folder = this.#folder(controller, cgroup);
    if (folder === undefined) return undefined;
    try {
      return readFileSync(`${folder}/${file}`, 'utf8').trim();
    } catch (err) {
      if (errnoOf(err) === 'ENOENT') return undefined;
      throw err;
    }
  }

  /** A file of a controller that the machine does not have is left out. */
  #set(controller: string, cgroup: string, file: string, value: string | number): void {
    const folder = this.#folder(controller, cgroup);
    if (folder === undefined) return;
    // v1: the folder of a controller that is rarely used is made with its first limit.
    if (controller === 'hugetlb' && this.hierarchy.version === 1) mkdirSync(folder, { recursive: true });
    try {
      writeFileSync(`${folder}/${file}`, String(value));
    } catch (err) {
      if (errnoOf(err) !== 'ENOENT') throw err;
      this.#log.debug({ cgroup, file }, 'cgroup file does not exist on this machine');
    }
  }
}

/** `max` is none. */
function number(text: string | undefined): number | undefined {
  return text === undefined || text === '' || text === 'max' ? undefined : Number(text);
}

function makeFolder(folder: string): boolean {
  try {
    mkdirSync(folder);
    return true;
  } catch (err) {
    if (errnoOf(err) === 'EEXIST') return false;
    throw err;
  }
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return [];
    throw err;
  }
}

function removed(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch (err) {
    const errno = errnoOf(err);
    if (errno === 'ENOENT') return true;
    if (errno === 'EBUSY') return false;
    throw err;
  }
}

function killAll(folder: string): void {
  let pids: number[];
  try {
    pids = readFileSync(`${folder}/cgroup.procs`, 'utf8').trim().split('\n').filter(Boolean).map(Number);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT' || errnoOf(err) === 'ENODEV') return;
    throw err;
  }
  for (const pid of pids) {
    // 0 is a process of another pid namespace: not one that can be named from here.
    if (pid === 0) continue;
    try {
      process.kill(pid, 'SIGKILL');
    } catch (err) {
      if (errnoOf(err) !== 'ESRCH') throw err;
    }
  }
}
