import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** How cgroups are mounted on this machine. */
export type CgroupHierarchy =
  | { readonly version: 2; readonly root: string }
  /** Mount point of each controller that is usable. */
  | {
      readonly version: 1;
      readonly controllers: ReadonlyMap<string, string>;
      /** Mount points that limit nothing and still get a folder for each container: named hierarchies, a v2 tree on the side. */
      readonly others: readonly string[];
    };

const v1Controllers = [
  'cpu',
  'cpuacct',
  'cpuset',
  'memory',
  'pids',
  'hugetlb',
  'devices',
  'freezer',
  'blkio',
  'perf_event',
  'net_cls',
  'net_prio',
  'rdma',
  'misc',
];

/** Reads /proc/self/mountinfo: v2 when the tree at /sys/fs/cgroup is one, else every v1 controller that is mounted. */
export async function detectHierarchy(mountInfoPath = '/proc/self/mountinfo'): Promise<CgroupHierarchy> {
  return parseHierarchy(await readFile(mountInfoPath, 'utf8'));
}

export function parseHierarchy(mountInfo: string): CgroupHierarchy {
  const controllers = new Map<string, string>();
  const others: string[] = [];
  let unified: string | undefined;
  for (const line of mountInfo.split('\n')) {
    const [before, after] = line.split(' - ');
    const mountPoint = before?.split(' ')[4];
    const [type, , superOptions] = after?.split(' ') ?? [];
    if (mountPoint === undefined) continue;
    if (type === 'cgroup2' && mountPoint === '/sys/fs/cgroup') unified = mountPoint;
    else if (type === 'cgroup2') others.push(mountPoint);
    if (type !== 'cgroup') continue;
    const options = superOptions?.split(',') ?? [];
    if (options.some((option) => option.startsWith('name='))) others.push(mountPoint);
    for (const option of options) {
      if (v1Controllers.includes(option) && !controllers.has(option)) controllers.set(option, mountPoint);
    }
  }
  if (unified !== undefined) return { version: 2, root: unified };
  return { version: 1, controllers, others };
}

/** Folders of one cgroup: one on v2, one in each hierarchy on v1 (mount points that serve several controllers come once). */
export function cgroupFolders(hierarchy: CgroupHierarchy, cgroup: string): string[] {
  if (hierarchy.version === 2) return [join(hierarchy.root, cgroup)];
  return [...new Set([...hierarchy.controllers.values(), ...hierarchy.others])].map((root) => join(root, cgroup));
}

/** Folder in which a controller's files of a cgroup are; undefined when the machine does not have the controller. */
export function controllerFolder(hierarchy: CgroupHierarchy, controller: string, cgroup: string): string | undefined {
  if (hierarchy.version === 2) return join(hierarchy.root, cgroup);
  const root = hierarchy.controllers.get(controller);
  return root === undefined ? undefined : join(root, cgroup);
}

/** Of the text of /proc/PID/cgroup: the cgroup by controller, that of v2 under an empty name (cgroups(7)). */
export function parseProcCgroup(text: string): ReadonlyMap<string, string> {
  const cgroups = new Map<string, string>();
  for (const [, controllers = '', cgroup = ''] of text.matchAll(/^\d+:([^:\n]*):(.*)$/gm))
    for (const controller of controllers.split(',')) cgroups.set(controller, cgroup);
  return cgroups;
}
