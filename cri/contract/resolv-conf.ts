import type * as v1 from '../../proto/generated/cri-v1.js';

/** The text of a sandbox's resolv.conf, in the order resolvers expect; empty where the request says nothing of DNS. */
export function resolvConf(dns: v1.DNSConfig | null | undefined): string {
  const { servers = [], searches = [], options = [] } = dns ?? {};
  const lines: string[] = [];
  if (searches.length > 0) lines.push(`search ${searches.join(' ')}`);
  for (const server of servers) lines.push(`nameserver ${server}`);
  if (options.length > 0) lines.push(`options ${options.join(' ')}`);
  return lines.map((line) => `${line}\n`).join('');
}
