import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import { runProgram } from '../../../base/run-program.js';
import type { Pod, PodUid } from '../../../agent/api/index.js';
import type { CgroupLimits } from '../../../agent/resources/cgroups/cgroup-limits.js';
import type { Kubepods } from '../../../agent/resources/cgroups/kubepods.js';
import { openKubepods } from '../../../agent/resources/cgroups/open-kubepods.js';
import { cgroupFolders, detectHierarchy, type CgroupHierarchy } from '../../../agent/resources/cgroups/hierarchy.js';
import { until } from '../../support/until.js';

const { signal } = new AbortController();
const limits = { cpuCfsQuota: true, cpuPeriodUs: 100_000, podPidsLimit: -1 };

/** Pod cgroups of a root of their own, with real processes in them. Disposing it ends and removes all of it. */
export class CgroupWorld implements AsyncDisposable {
  readonly root: string;
  readonly hierarchy: CgroupHierarchy;
  readonly cgroups: Kubepods;
  readonly #children: ChildProcess[] = [];

  private constructor(root: string, hierarchy: CgroupHierarchy, cgroups: Kubepods) {
    this.root = root;
    this.hierarchy = hierarchy;
    this.cgroups = cgroups;
  }

  static async open(options: Partial<typeof limits> & { limits?: CgroupLimits } = {}): Promise<CgroupWorld> {
    const root = `/berth-cgroups-${randomBytes(4).toString('hex')}`;
    const hierarchy = await detectHierarchy();
    const cgroups = await openKubepods(
      { ...limits, limits: {}, ...options, driver: 'cgroupfs', root },
      hierarchy,
      { log: silentLogger, clock: systemClock, run: runProgram },
      signal,
    );
    return new CgroupWorld(root, hierarchy, cgroups);
  }

  /** Folder of a controller of a cgroup below the hierarchy. */
  folder(controller: string, cgroup: string): string {
    if (this.hierarchy.version === 2) return join(this.hierarchy.root, cgroup);
    return join(this.hierarchy.controllers.get(controller) ?? '', cgroup);
  }

  /** What a runtime does: a cgroup for a container below the pod's, in every controller, with a process in it. */
  container(pod: Pod, id: string, argv: readonly [string, ...string[]] = ['sleep', '3600']): ChildProcess {
    const [program, ...args] = argv;
    const child = spawn(program, args, { stdio: 'ignore' });
    this.#children.push(child);
    for (const folder of cgroupFolders(this.hierarchy, join(this.cgroups.parentOf(pod), id))) {
      mkdirSync(folder, { recursive: true });
      if (folder.includes('/cpuset/')) continue;
      appendFileSync(join(folder, 'cgroup.procs'), String(child.pid));
    }
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    await until('processes to end', () => this.#children.every((child) => child.exitCode ?? child.signalCode));
    for (const uid of await this.cgroups.present(signal)) await this.cgroups.remove(uid, signal);
    for (const cgroup of ['kubepods/burstable', 'kubepods/besteffort', 'kubepods', '']) {
      for (const folder of cgroupFolders(this.hierarchy, join(this.root, cgroup)))
        if (existsSync(folder)) rmdirSync(folder);
    }
  }
}

export function testPod(
  name: string,
  resources: NonNullable<NonNullable<Pod['spec']>['containers']>[number]['resources'] = {},
): Pod {
  return {
    metadata: { name, namespace: 'test', uid: `${name}-uid` as PodUid },
    spec: { containers: [{ name: 'main', image: 'x', resources }] },
  };
}
