import { readFileSync } from 'node:fs';
import { parseProcCgroup, type CgroupHierarchy } from '../resources/cgroups/hierarchy.js';

/** The cgroup this process is accounted in; undefined where that is the machine as a whole. */
export function readOwnCgroup({ version }: CgroupHierarchy, path = '/proc/self/cgroup'): string | undefined {
  try {
    return parseOwnCgroup(readFileSync(path, 'utf8'), version);
  } catch {
    return undefined;
  }
}

/** On v1 only where CPU and memory are accounted in the same place: what is told of it is told as one. */
export function parseOwnCgroup(text: string, version: 1 | 2): string | undefined {
  const paths = parseProcCgroup(text);
  const own = paths.get(version === 2 ? '' : 'memory');
  if (own === undefined || own === '/' || own.startsWith('/..')) return undefined;
  return version === 2 || own === paths.get('cpuacct') ? own : undefined;
}
