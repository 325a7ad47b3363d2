import { mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { Clock } from '../../../base/clock.js';
import { errnoOf, errorText } from '../../../base/errors.js';
import type { Logger } from '../../../base/log.js';
import { runEvery } from '../../../base/run-every.js';
import { cgroupFolders, controllerFolder, parseProcCgroup, type CgroupHierarchy } from './hierarchy.js';

export interface MachineCgroupsOptions {
  readonly hierarchy: CgroupHierarchy;
  /** `kubeletCgroups`: where this process is to run; undefined for where it was started. */
  readonly own?: string | undefined;
  /** `systemCgroups`: where what nobody gave a cgroup is to run; undefined leaves it. */
  readonly system?: string | undefined;
  /** Whose processes nobody gave a cgroup: the root. */
  readonly from?: string | undefined;
  readonly pid?: number | undefined;
  /** A process younger than this may be a container's, on its way to its own cgroup. */
  readonly settledMs?: number | undefined;
}

const everyMs = 60_000;
/** What is moved may fork meanwhile. */
const mostRounds = 10;
/** Of /proc/PID/stat, on every architecture that Node runs on. */
const ticksPerSecond = 100;

/**
 * Keeps this process, and what runs at the root of the machine's cgroups, in those that the configuration names (facts 4.1). Never the first
 * process, a thread of the kernel, or one that somebody has put into a cgroup already, as containers are.
 */
export class MachineCgroups {
  readonly #options: MachineCgroupsOptions;
  readonly #deps: { readonly clock: Clock; readonly log: Logger };
  #told = '';

  constructor(options: MachineCgroupsOptions, deps: { readonly clock: Clock; readonly log: Logger }) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Does it now and every minute, for a process that comes later; resolves when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { own, system } = this.#options;
    if (own === undefined && system === undefined) return;
    const what = 'putting processes into their cgroups';
    await runEvery({ what, everyMs, firstAfterMs: 0 }, () => Promise.resolve(this.settle()), this.#deps, signal);
  }

  /** Idempotent. What fails is told, once. */
  settle(): void {
    const { own, system } = this.#options;
    const problems = [
      ...(system === undefined ? [] : this.#trying(() => this.#settleSystem(asPath(system)))),
      ...(own === undefined ? [] : this.#trying(() => this.#settleOwn(asPath(own)))),
    ];
    const told = problems.join('; ');
    if (told !== '' && told !== this.#told)
      this.#deps.log.warn({ err: told, retryInMs: everyMs }, 'processes could not be put into their cgroup');
    this.#told = told;
  }

  #trying(work: () => readonly string[]): readonly string[] {
    try {
      return work();
    } catch (err) {
      return [errorText(err)];
    }
  }

  #settleOwn(cgroup: string): readonly string[] {
    const { hierarchy, pid = process.pid } = this.#options;
    if (accountedIn(hierarchy, pid).every((each) => each === cgroup)) return [];
    openCgroup(hierarchy, cgroup);
    const problems = move(hierarchy, cgroup, pid);
    if (problems.length === 0) this.#deps.log.info({ cgroup }, 'the agent runs in the cgroup of kubeletCgroups');
    return problems;
  }

  #settleSystem(cgroup: string): readonly string[] {
    const { hierarchy } = this.#options;
    let problems: readonly string[] = [];
    let moved = 0;
    for (let round = 0; round < mostRounds; round++) {
      const pids = this.#unplaced();
      if (pids.length === 0) break;
      openCgroup(hierarchy, cgroup);
      // It may have been put somewhere since it was listed.
      const still = pids.filter((pid) => this.#isUnplaced(pid));
      const failed = still.map((pid) => move(hierarchy, cgroup, pid));
      problems = failed.flat();
      const went = failed.filter((each) => each.length === 0).length;
      moved += went;
      if (went === 0) break;
    }
    if (moved > 0)
      this.#deps.log.info({ cgroup, processes: moved }, 'processes were moved to the cgroup of systemCgroups');
    return problems;
  }

  #unplaced(): readonly number[] {
    const { hierarchy, from = '/', settledMs = 10_000 } = this.#options;
    // The kubelet goes by the same one on v1.
    const folder = controllerFolder(hierarchy, 'devices', from) ?? controllerFolder(hierarchy, 'memory', from);
    if (folder === undefined) return [];
    const bornBefore = Number.parseFloat(readFileSync('/proc/uptime', 'utf8')) - settledMs / 1000;
    return readFileSync(join(folder, 'cgroup.procs'), 'utf8')
      .split('\n')
      .map(Number)
      .filter((pid) => pid > 1 && this.#isUnplaced(pid) && !isKernelThread(pid) && bornAt(pid) <= bornBefore);
  }

  #isUnplaced(pid: number): boolean {
    const { hierarchy, from = '/' } = this.#options;
    const places = accountedIn(hierarchy, pid);
    return places.length > 0 && places.every((each) => each === from);
  }
}

const asPath = (name: string): string => posix.normalize(`/${name}`).replace(/(?<=.)\/$/, '');

/** Where its CPU time and its memory count; empty for a process that has ended. */
function accountedIn(hierarchy: CgroupHierarchy, pid: number): readonly string[] {
  const cgroups = parseProcCgroup(orElse(() => readFileSync(`/proc/${pid}/cgroup`, 'utf8'), ''));
  const wanted = hierarchy.version === 2 ? [''] : ['cpu', 'cpuacct', 'memory'];
  return wanted.flatMap((controller) => cgroups.get(controller) ?? []);
}

/** All controllers, and no named hierarchy: that is the bookkeeping of whoever named it. */
function foldersOf(hierarchy: CgroupHierarchy, cgroup: string): readonly string[] {
  return cgroupFolders(hierarchy.version === 2 ? hierarchy : { ...hierarchy, others: [] }, cgroup);
}

function openCgroup(hierarchy: CgroupHierarchy, cgroup: string): void {
  const parts = cgroup.split('/').filter(Boolean);
  for (let depth = 1; depth <= parts.length; depth++) {
    const above = `/${parts.slice(0, depth - 1).join('/')}`;
    const level = `/${parts.slice(0, depth).join('/')}`;
    if (hierarchy.version === 2) passDown(join(hierarchy.root, above));
    for (const folder of foldersOf(hierarchy, level)) mkdirSync(folder, { recursive: true });
    if (hierarchy.version === 1) inheritCpus(hierarchy, above, level);
  }
}

/** What accounts for a cgroup is handed down by the one above; one that holds processes itself cannot, and then there is less to see. */
function passDown(folder: string): void {
  const offered = orElse(() => readFileSync(join(folder, 'cgroup.controllers'), 'utf8'), '')
    .split(/\s+/)
    .filter(Boolean);
  for (const controller of ['cpu', 'memory', 'pids', 'io'].filter((each) => offered.includes(each)))
    orElse(() => writeFileSync(join(folder, 'cgroup.subtree_control'), `+${controller}`), undefined);
}

/** v1: nothing can run in a set of no CPUs. */
function inheritCpus(hierarchy: CgroupHierarchy, above: string, cgroup: string): void {
  const [from, to] = [above, cgroup].map((each) => controllerFolder(hierarchy, 'cpuset', each));
  if (from === undefined || to === undefined) return;
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    if (readFileSync(join(to, file), 'utf8').trim() !== '') continue;
    writeFileSync(join(to, file), readFileSync(join(from, file), 'utf8'));
  }
}

/** Why it could not be moved in some hierarchy; empty also for one that has ended. */
function move(hierarchy: CgroupHierarchy, cgroup: string, pid: number): readonly string[] {
  return foldersOf(hierarchy, cgroup).flatMap((folder) => {
    try {
      writeFileSync(join(folder, 'cgroup.procs'), String(pid));
      return [];
    } catch (err) {
      return errnoOf(err) === 'ESRCH' ? [] : [`move process ${pid} to ${folder}: ${errorText(err)}`];
    }
  });
}

/** Threads of the kernel have no program. */
function isKernelThread(pid: number): boolean {
  try {
    readlinkSync(`/proc/${pid}/exe`);
    return false;
  } catch (err) {
    return errnoOf(err) === 'ENOENT';
  }
}

/** Seconds after the machine's start; infinite for a process that has ended. */
function bornAt(pid: number): number {
  const stat = orElse(() => readFileSync(`/proc/${pid}/stat`, 'utf8'), '');
  // A program's name may have blanks and brackets in it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = fields[19];
  return ticks === undefined ? Number.POSITIVE_INFINITY : Number(ticks) / ticksPerSecond;
}

/** Processes and their files go while they are looked at. */
function orElse<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
