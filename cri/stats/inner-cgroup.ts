import { existsSync } from 'node:fs';
import type { CgroupHost } from './cgroup-host.js';

/** The cgroup below a scope in which crun puts a container. */
export const scopeSubgroup = 'container';

/** Where the limits and counts of a container are: with crun in a cgroup of its own below the scope of systemd. */
export function innerCgroup(
  host: Pick<CgroupHost, 'cgroupMount' | 'cgroupVersion'>,
  controller: string,
  cgroup: string,
): string {
  if (!cgroup.endsWith('.scope')) return cgroup;
  const inner = `${cgroup}/${scopeSubgroup}`;
  return existsSync(`${host.cgroupMount(controller)}${inner}`) ? inner : cgroup;
}
