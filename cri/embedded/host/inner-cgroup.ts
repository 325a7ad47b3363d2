import { existsSync } from 'node:fs';
import { scopeSubgroup } from '../oci-spec/cgroup-path.js';
import type { HostFacts } from './host-facts.js';

/** Where the limits and counts of a container are: with crun in a cgroup of its own below the scope of systemd. */
export function innerCgroup(
  host: Pick<HostFacts, 'cgroupMount' | 'cgroupVersion'>,
  controller: string,
  cgroup: string,
): string {
  if (!cgroup.endsWith('.scope')) return cgroup;
  const inner = `${cgroup}/${scopeSubgroup}`;
  return existsSync(`${host.cgroupMount(controller)}${inner}`) ? inner : cgroup;
}
