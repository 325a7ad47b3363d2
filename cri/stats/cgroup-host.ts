import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { errnoOf } from '../../base/errors.js';

/** The cgroups of this machine. */
export interface CgroupHost {
  readonly cgroupVersion: 1 | 2;
  /** Mount point of a v1 controller, or of the unified hierarchy for every controller on v2. */
  readonly cgroupMount: (controller: string) => string;
  /** Every hierarchy a container's cgroup may have a folder in. */
  readonly cgroupHierarchies: readonly string[];
  readonly hugepageSizes: readonly string[];
}

export function readCgroupHost(): CgroupHost {
  return { ...cgroupMounts(), hugepageSizes: hugepageSizes() };
}

/** A unified hierarchy on /sys/fs/cgroup is v2; a mount per controller is v1, whatever else is mounted beside them. */
function cgroupMounts(): Omit<CgroupHost, 'hugepageSizes'> {
  const root = '/sys/fs/cgroup';
  if (existsSync(`${root}/cgroup.controllers`)) {
    return { cgroupVersion: 2, cgroupMount: () => root, cgroupHierarchies: [root] };
  }
  const mounts = new Map<string, string>();
  const hierarchies = new Set<string>();
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const [type, , options = ''] = right.split(' ');
    if (type !== 'cgroup' && type !== 'cgroup2') continue;
    const path = left.split(' ')[4] ?? '';
    hierarchies.add(path);
    if (type === 'cgroup2') continue;
    for (const option of options.split(',')) mounts.set(option, path);
  }
  return {
    cgroupVersion: 1,
    cgroupMount: (controller) => mounts.get(controller) ?? `${root}/${controller}`,
    cgroupHierarchies: [...hierarchies],
  };
}

function hugepageSizes(): string[] {
  try {
    return readdirSync('/sys/kernel/mm/hugepages').map((name) => {
      const kib = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0);
      if (kib >= 1024 * 1024) return `${kib / 1024 / 1024}GB`;
      return kib >= 1024 ? `${kib / 1024}MB` : `${kib}KB`;
    });
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return [];
    throw err;
  }
}
