import type { Pod } from '../api/index.js';

/** Sysctls any pod may set: namespaced, and harmless to others (facts 1.2). */
const safe = new Set([
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_wmem',
]);

const namespaceOf = (name: string): 'ipc' | 'net' | undefined => {
  if (name.startsWith('net.')) return 'net';
  if (/^(kernel\.(shm|msg)|kernel\.sem$|fs\.mqueue\.)/.test(name)) return 'ipc';
  return undefined;
};

/** Why the pod's sysctls may not be set here; undefined when they may. */
export function sysctlProblem(pod: Pod, allowedUnsafe: readonly string[]): string | undefined {
  for (const { name: written } of pod.spec?.securityContext?.sysctls ?? []) {
    const name = written.replaceAll('/', '.');
    const namespace = namespaceOf(name);
    if (namespace === 'net' && pod.spec?.hostNetwork === true)
      return `forbidden sysctl: "${name}" not allowed with host net enabled`;
    if (namespace === 'ipc' && pod.spec?.hostIPC === true)
      return `forbidden sysctl: "${name}" not allowed with host ipc enabled`;
    const allowed =
      safe.has(name) || (namespace !== undefined && allowedUnsafe.some((pattern) => matches(pattern, name)));
    if (!allowed) return `forbidden sysctl: "${name}" not allowlisted`;
  }
  return undefined;
}

/** Why a pattern of `allowedUnsafeSysctls` lets nobody set anything; undefined when it may. */
export function sysctlPatternProblem(written: string): string | undefined {
  const pattern = written.replaceAll('/', '.');
  if (!/^[a-z0-9][-_a-z0-9.]*\*?$/.test(pattern))
    return `expected a sysctl such as "net.core.somaxconn" or "net.*", got ${JSON.stringify(written)}`;
  return namespaceOf(pattern.replace('*', '')) === undefined
    ? `${written} is not known to be a pod's own (kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* and net.* are)`
    : undefined;
}

function matches(written: string, name: string): boolean {
  const pattern = written.replaceAll('/', '.');
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
}
