import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { readCgroupHost, type CgroupHost } from '../../stats/cgroup-host.js';
import { capabilityNames } from '../oci-spec/capabilities.js';
import { userNamespacesLack } from './user-namespaces.js';

/** What this machine and this process can do; read once when the runtime opens. */
export interface HostFacts extends CgroupHost {
  readonly swapLimit: boolean;
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
  const cgroups = readCgroupHost();
  const kernel = release();
  const [major = 0, minor = 0] = kernel.split('.').map(Number);
  return {
    ...cgroups,
    swapLimit:
      cgroups.cgroupVersion === 2 || existsSync(`${cgroups.cgroupMount('memory')}/memory.memsw.limit_in_bytes`),
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
