import { readFile } from 'node:fs/promises';
import { readCgroupStats, type CgroupStats } from '../stats/cgroup-stats.js';
import type { DockerContext } from './options.js';

/** The path below every hierarchy; undefined when it has ended. */
export async function cgroupOf(pid: number): Promise<string | undefined> {
  // It may end just now.
  const text = pid === 0 ? '' : await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '');
  return (/^\d+:([^:]*,)?memory(,[^:]*)?:(.*)$/m.exec(text)?.[3] ?? /^0::(.*)$/m.exec(text)?.[1]) || undefined;
}

export async function countersOf(context: DockerContext, pid: number): Promise<CgroupStats | undefined> {
  const path = await cgroupOf(pid);
  return path === undefined ? undefined : readCgroupStats(context.cgroups, path);
}
