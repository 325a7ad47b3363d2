import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { errnoOf } from '../../../base/errors.js';
import { capabilityNames } from '../oci-spec/capabilities.js';
import { userNamespacesLack } from './user-namespaces.js';

/** What this machine and this process can do; read once when the runtime opens. */
export interface HostFacts {
  readonly cgroupVersion: 1 | 2;
  /** Mount point of a v1 controller, or of the unified hierarchy for every controller on v2. */
  readonly cgroupMount: (controller: string) => string;
  /** Every hierarchy a container's cgroup may have a folder in. */
  readonly cgroupHierarchies: readonly string[];
  readonly swapLimit: boolean;
  readonly hugepageSizes: readonly string[];
  readonly capabilities: readonly string[];
  /** Lowest oom_score_adj this process may give; -1000 with CAP_SYS_RESOURCE. */
  readonly oomScoreFloor: number;
  /** Hard limits by OCI name that cannot be raised; empty with CAP_SYS_RESOURCE. */
  readonly hardLimits: Readonly<Record<string, number>>;
  readonly apparmor: boolean;
  readonly selinux: boolean;
  readonly arch: string;
  readonly kernel: string;
  /** Overlay mounts may skip the sync of a layer that never outlives a crash. */
  readonly overlayVolatile: boolean;
  /** Why pods cannot have a user namespace of their own here; empty when they can. */
  readonly userNamespacesLack: string;
}

export function readHostFacts(): HostFacts {
  const status = readFileSync('/proc/self/status', 'utf8');
  const bounding = /^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  const capabilities = capabilityNames(BigInt(`0x${bounding}`));
  const mayRaise = capabilities.includes('CAP_SYS_RESOURCE');
  const cgroups = cgroupMounts();
  const kernel = release();
  const [major = 0, minor = 0] = kernel.split('.').map(Number);
  return {
    cgroupVersion: cgroups.version,
    cgroupMount: cgroups.mountOf,
    cgroupHierarchies: cgroups.hierarchies,
    swapLimit: cgroups.version === 2 || existsSync(`${cgroups.mountOf('memory')}/memory.memsw.limit_in_bytes`),
    hugepageSizes: hugepageSizes(),
    capabilities,
    oomScoreFloor: mayRaise ? -1000 : Number(readFileSync('/proc/self/oom_score_adj', 'utf8')),
    hardLimits: mayRaise ? {} : hardLimits(readFileSync('/proc/self/limits', 'utf8')),
    apparmor: readOr('/sys/module/apparmor/parameters/enabled', 'N').startsWith('Y'),
    selinux: existsSync('/sys/fs/selinux/enforce'),
    arch: process.arch,
    kernel,
    overlayVolatile: major > 5 || (major === 5 && minor >= 10),
    userNamespacesLack: userNamespacesLack(kernel),
  };
}

interface CgroupMounts {
  readonly version: 1 | 2;
  readonly mountOf: (controller: string) => string;
  readonly hierarchies: readonly string[];
}

/** A unified hierarchy on /sys/fs/cgroup is v2; a mount per controller is v1, whatever else is mounted beside them. */
function cgroupMounts(): CgroupMounts {
  const root = '/sys/fs/cgroup';
  if (existsSync(`${root}/cgroup.controllers`)) {
    return { version: 2, mountOf: () => root, hierarchies: [root] };
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
    version: 1,
    mountOf: (controller) => mounts.get(controller) ?? `${root}/${controller}`,
    hierarchies: [...hierarchies],
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

const limitNames: Readonly<Record<string, string>> = {
  'Max open files': 'RLIMIT_NOFILE',
  'Max processes': 'RLIMIT_NPROC',
  'Max core file size': 'RLIMIT_CORE',
  'Max locked memory': 'RLIMIT_MEMLOCK',
  'Max stack size': 'RLIMIT_STACK',
};

function hardLimits(limits: string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const line of limits.split('\n')) {
    const [, name = '', hard = ''] = /^(.*?)\s{2,}\S+\s+(\S+)/.exec(line) ?? [];
    const oci = limitNames[name];
    if (oci !== undefined && hard !== 'unlimited') found[oci] = Number(hard);
  }
  return found;
}

function readOr(path: string, fallback: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return fallback;
  }
}
