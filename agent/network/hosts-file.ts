import type { Pod } from '../api/index.js';
import type { PodHostname } from './hostname.js';

const localEntries = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::0\tip6-localnet',
  'fe00::0\tip6-mcastprefix',
  'fe00::1\tip6-allnodes',
  'fe00::2\tip6-allrouters',
];

/** Text of a pod's /etc/hosts (facts 7.4). With the host's network it starts as a copy of the node's file. */
export function hostsFile(pod: Pod, names: PodHostname, podIps: readonly string[], nodeHosts: string): string {
  const aliases = aliasLines(pod);
  if (pod.spec?.hostNetwork === true) {
    return ['# Kubernetes-managed hosts file (host network).', nodeHosts.replace(/\n$/, ''), ...aliases, ''].join('\n');
  }
  const own = podIps.map((ip) => [ip, names.fqdn, names.short].filter(Boolean).join('\t'));
  return ['# Kubernetes-managed hosts file.', ...localEntries, ...own, ...aliases, ''].join('\n');
}

function aliasLines(pod: Pod): string[] {
  const aliases = pod.spec?.hostAliases ?? [];
  if (aliases.length === 0) return [];
  return [
    '',
    '# Entries added by HostAliases.',
    ...aliases.map(({ ip, hostnames = [] }) => [ip, ...hostnames].join('\t')),
  ];
}
