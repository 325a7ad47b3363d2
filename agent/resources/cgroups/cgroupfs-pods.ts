import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../../base/errors.js';
import type { Logger } from '../../../base/log.js';
import {
  podQosClass,
  podUidOf,
  quantityMilliValue,
  podRequests,
  type Pod,
  type PodUid,
  type QosClass,
} from '../../api/index.js';
import { minShares, sharesOf, weightOf } from '../cpu-shares.js';
import type { PodCgroups } from '../pod-cgroups.js';
import { cgroupFolders, controllerFolder, type CgroupHierarchy } from './hierarchy.js';
import { podCgroupLimits, type PodCgroupLimits, type PodLimitOptions } from './pod-limits.js';

export interface CgroupfsOptions extends PodLimitOptions {
  /** Cgroup below which `kubepods` lies, `/` normally. */
  readonly cgroupRoot: string;
}

const tiers: Readonly<Record<QosClass, string>> = { Guaranteed: '', Burstable: 'burstable', BestEffort: 'besteffort' };
/** v1 controllers in which the pod level is made here; the runtime makes the rest on its way down. */
const pressing = ['cpu', 'memory', 'pids'] as const;
const v2Controllers = ['cpu', 'cpuset', 'memory', 'hugetlb', 'pids', 'io'];

/** QoS and pod cgroups written straight into the cgroup filesystem (driver `cgroupfs`), v1 and v2. */
export class CgroupfsPods implements PodCgroups {
  readonly #options: CgroupfsOptions;
  readonly #hierarchy: CgroupHierarchy;
  readonly #log: Logger;
  /** CPU requests of the Burstable pods, whose sum is the weight of their tier. */
  readonly #burstableMilli = new Map<PodUid, number>();
  #writtenBurstableShares = -1;

  constructor(options: CgroupfsOptions, hierarchy: CgroupHierarchy, log: Logger) {
    this.#options = options;
    this.#hierarchy = hierarchy;
    this.#log = log;
  }

  /** Makes `kubepods` and the QoS tiers; on v2 with the controllers passed down. */
  async open(): Promise<void> {
    for (const tier of ['', tiers.Burstable, tiers.BestEffort]) await this.#make(this.#kubepods(tier));
    await this.#setShares(this.#kubepods(tiers.BestEffort), minShares);
    await this.#weighBurstable();
  }

  parentOf(pod: Pod): string {
    return this.#path(podUidOf(pod), podQosClass(pod));
  }

  exists(pod: Pod): boolean {
    const folder = controllerFolder(this.#hierarchy, 'memory', this.parentOf(pod));
    return folder !== undefined && existsSync(folder);
  }

  async ensure(pod: Pod): Promise<void> {
    const cgroup = this.parentOf(pod);
    await this.#make(cgroup);
    await this.#limit(cgroup, podCgroupLimits(pod, this.#options));
    if (podQosClass(pod) !== 'Burstable') return;
    this.#burstableMilli.set(podUidOf(pod), quantityMilliValue(podRequests(pod)['cpu'] ?? '0'));
    await this.#weighBurstable();
  }

  async remove(uid: PodUid): Promise<void> {
    for (const qos of Object.keys(tiers) as QosClass[]) {
      const cgroup = this.#path(uid, qos);
      for (const folder of cgroupFolders(this.#hierarchy, cgroup)) await removeTree(folder);
    }
    if (this.#burstableMilli.delete(uid)) await this.#weighBurstable();
  }

  async present(): Promise<readonly PodUid[]> {
    const uids = new Set<PodUid>();
    for (const tier of Object.values(tiers)) {
      for (const folder of cgroupFolders(this.#hierarchy, this.#kubepods(tier))) {
        for (const name of await readdir(folder).catch(() => [])) {
          if (name.startsWith('pod')) uids.add(name.slice(3) as PodUid);
        }
      }
    }
    return [...uids];
  }

  #kubepods(tier: string): string {
    return join(this.#options.cgroupRoot, 'kubepods', tier);
  }

  #path(uid: PodUid, qos: QosClass): string {
    return join(this.#kubepods(tiers[qos]), `pod${uid}`);
  }

  async #make(cgroup: string): Promise<void> {
    if (this.#hierarchy.version === 1) {
      for (const controller of pressing) {
        const folder = controllerFolder(this.#hierarchy, controller, cgroup);
        if (folder !== undefined) await mkdir(folder, { recursive: true });
      }
      return;
    }
    const folder = join(this.#hierarchy.root, cgroup);
    await mkdir(folder, { recursive: true });
    await this.#passDown(cgroup);
  }

  /** v2: every level above the pod, and the pod itself, must hand its controllers on. */
  async #passDown(cgroup: string): Promise<void> {
    if (this.#hierarchy.version !== 2) return;
    const parts = cgroup.split('/').filter(Boolean);
    for (let depth = 0; depth <= parts.length; depth++) {
      const folder = join(this.#hierarchy.root, ...parts.slice(0, depth));
      const offered = new Set((await readFile(join(folder, 'cgroup.controllers'), 'utf8')).trim().split(' '));
      const given = new Set((await readFile(join(folder, 'cgroup.subtree_control'), 'utf8')).trim().split(' '));
      const wanted = v2Controllers.filter((name) => offered.has(name) && !given.has(name));
      if (wanted.length > 0)
        await writeFile(join(folder, 'cgroup.subtree_control'), wanted.map((name) => `+${name}`).join(' '));
    }
  }

  async #limit(cgroup: string, limits: PodCgroupLimits): Promise<void> {
    await this.#setShares(cgroup, limits.cpuShares);
    const { cpuQuotaUs, cpuPeriodUs, memoryBytes, pids } = limits;
    if (this.#hierarchy.version === 2) {
      if (cpuQuotaUs !== undefined) await this.#set('cpu', cgroup, 'cpu.max', `${cpuQuotaUs} ${cpuPeriodUs}`);
      if (memoryBytes !== undefined) await this.#set('memory', cgroup, 'memory.max', String(memoryBytes));
    } else {
      if (cpuQuotaUs !== undefined) {
        await this.#set('cpu', cgroup, 'cpu.cfs_period_us', String(cpuPeriodUs));
        await this.#set('cpu', cgroup, 'cpu.cfs_quota_us', String(cpuQuotaUs));
      }
      if (memoryBytes !== undefined) await this.#set('memory', cgroup, 'memory.limit_in_bytes', String(memoryBytes));
    }
    if (pids !== undefined) await this.#set('pids', cgroup, 'pids.max', String(pids));
  }

  async #setShares(cgroup: string, shares: number): Promise<void> {
    if (this.#hierarchy.version === 2) await this.#set('cpu', cgroup, 'cpu.weight', String(weightOf(shares)));
    else await this.#set('cpu', cgroup, 'cpu.shares', String(shares));
  }

  /** A file of a controller that the machine does not have is left out and said. */
  async #set(controller: string, cgroup: string, file: string, value: string): Promise<void> {
    const folder = controllerFolder(this.#hierarchy, controller, cgroup);
    if (folder === undefined) return;
    try {
      await writeFile(join(folder, file), value);
    } catch (err) {
      if (errnoOf(err) !== 'ENOENT') throw err;
      this.#log.debug({ cgroup, file }, 'cgroup file does not exist on this machine');
    }
  }

  async #weighBurstable(): Promise<void> {
    const total = [...this.#burstableMilli.values()].reduce((sum, milli) => sum + milli, 0);
    const shares = sharesOf(total);
    if (shares === this.#writtenBurstableShares) return;
    this.#writtenBurstableShares = shares;
    await this.#setShares(this.#kubepods(tiers.Burstable), shares);
  }
}

/** Removes a cgroup and those below it, deepest first, ending the processes that are still in them. */
async function removeTree(folder: string): Promise<void> {
  let names: string[];
  try {
    names = (await readdir(folder, { withFileTypes: true }))
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return;
    throw err;
  }
  for (const name of names) await removeTree(join(folder, name));
  try {
    await rmdir(folder);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return;
    if (errnoOf(err) !== 'EBUSY') throw err;
    await killAll(folder);
    throw err;
  }
}

/** The cgroup is busy: end what is in it; the next try removes it. */
async function killAll(folder: string): Promise<void> {
  const pids = (await readFile(join(folder, 'cgroup.procs'), 'utf8')).trim().split('\n').filter(Boolean).map(Number);
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (err) {
      if (errnoOf(err) !== 'ESRCH') throw err;
    }
  }
}
