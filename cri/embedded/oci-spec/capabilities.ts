import type * as v1 from '../../../proto/generated/cri-v1.js';
import type { OciCapabilities } from './oci-types.js';

/** Bit order of the kernel's capability sets (capability.h). */
export const kernelCapabilities = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
] as const;

/** What containerd and Docker give a container that asks for nothing. */
export const defaultCapabilities: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_MKNOD',
  'CAP_NET_RAW',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETFCAP',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_SYS_CHROOT',
  'CAP_KILL',
  'CAP_AUDIT_WRITE',
];

/** `CapBnd:` of /proc/self/status as names; what is missing there cannot be given to anyone. */
export function capabilityNames(mask: bigint): string[] {
  return kernelCapabilities.filter((_, bit) => (mask >> BigInt(bit)) & 1n);
}

function canonical(name: string): string {
  const upper = name.toUpperCase();
  return upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
}

/** Names the kernel does not know, in the words of the request. */
export function unknownCapabilities(asked: v1.Capability): string[] {
  const known = new Set<string>(kernelCapabilities);
  return [
    ...(asked.addCapabilities ?? []),
    ...(asked.dropCapabilities ?? []),
    ...(asked.addAmbientCapabilities ?? []),
  ].filter((name) => canonical(name) !== 'CAP_ALL' && !known.has(canonical(name)));
}

/**
 * The container's capabilities: the default set (all for a privileged container), plus `add`, minus `drop`; `ALL` in either list
 * comes first, single names after it. Never more than `available`, what this machine lets a root process have.
 */
export function buildCapabilities(
  asked: v1.Capability | null | undefined,
  privileged: boolean,
  available: readonly string[],
): OciCapabilities {
  const add = (asked?.addCapabilities ?? []).map(canonical);
  const drop = (asked?.dropCapabilities ?? []).map(canonical);
  const set = new Set<string>(privileged || add.includes('CAP_ALL') ? available : defaultCapabilities);
  if (!privileged) {
    if (drop.includes('CAP_ALL')) set.clear();
    if (add.includes('CAP_ALL')) for (const name of available) set.add(name);
    for (const name of add) if (name !== 'CAP_ALL') set.add(name);
    for (const name of drop) set.delete(name);
  }
  const allowed = available.filter((name) => set.has(name));
  const ambient = (asked?.addAmbientCapabilities ?? []).map(canonical);
  for (const name of ambient) if (!allowed.includes(name) && available.includes(name)) allowed.push(name);
  return {
    bounding: allowed,
    effective: allowed,
    permitted: allowed,
    // Ambient capabilities must be inheritable too (capabilities(7)); without them nothing is.
    inheritable: ambient,
    ambient,
  };
}
