import type { DNSConfig } from '../../proto/generated/cri-v1.js';
import type { Pod } from '../api/index.js';

/** The resolver of the host, as far as pods inherit it. */
export interface HostResolver {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

export interface ClusterDns {
  readonly servers: readonly string[];
  readonly domain: string;
}

/** Limits of resolv.conf that the kubelet keeps. */
const most = { servers: 3, searches: 32, searchCharacters: 2048 };

export interface PodDns {
  readonly config: DNSConfig;
  /** Events to record: reason and message. */
  readonly notes: readonly { readonly reason: string; readonly message: string }[];
}

export function parseResolvConf(text: string): HostResolver {
  const servers: string[] = [];
  let searches: string[] = [];
  let options: string[] = [];
  for (const line of text.split('\n')) {
    const [word, ...rest] = line.trim().split(/\s+/);
    if (word === 'nameserver' && rest[0]) servers.push(rest[0]);
    // As in the C library: the last search line wins, options add up.
    if (word === 'search') searches = rest.map((domain) => (domain === '.' ? domain : domain.replace(/\.$/, '')));
    if (word === 'options') options = mergeOptions(options, rest);
  }
  return { servers, searches, options };
}

/** The resolver of a pod by its dnsPolicy and dnsConfig (facts 7.3). */
export function podDns(pod: Pod, host: HostResolver, cluster: ClusterDns): PodDns {
  const notes: { reason: string; message: string }[] = [];
  const base = policyBase(pod, host, cluster, notes);
  const own = pod.spec?.dnsConfig;
  const servers = unique([...base.servers, ...(own?.nameservers ?? [])]);
  const searches = unique([...base.searches, ...(own?.searches ?? [])]);
  const options = mergeOptions(
    base.options,
    (own?.options ?? []).map(({ name = '', value }) =>
      value === undefined || value === '' ? name : `${name}:${value}`,
    ),
  );
  return { config: { servers: capped(servers, notes), searches: cappedSearches(searches, notes), options }, notes };
}

function policyBase(
  pod: Pod,
  host: HostResolver,
  cluster: ClusterDns,
  notes: { reason: string; message: string }[],
): HostResolver {
  const { dnsPolicy = 'ClusterFirst', hostNetwork = false } = pod.spec ?? {};
  if (dnsPolicy === 'None') return { servers: [], searches: [], options: [] };
  const wantsCluster = dnsPolicy === 'ClusterFirstWithHostNet' || (dnsPolicy === 'ClusterFirst' && !hostNetwork);
  if (!wantsCluster) return host;
  if (cluster.servers.length === 0) {
    // Without a domain either there is no cluster, and nobody expects its resolver.
    if (cluster.domain !== '') {
      notes.push({
        reason: 'MissingClusterDNS',
        message:
          'kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. Falling back to "Default" policy.',
      });
    }
    return host;
  }
  const namespace = pod.metadata?.namespace ?? 'default';
  const { domain } = cluster;
  const own = domain === '' ? [] : [`${namespace}.svc.${domain}`, `svc.${domain}`, domain];
  return {
    servers: cluster.servers,
    searches: [...own, ...host.searches.filter((search) => search !== '.')],
    options: ['ndots:5'],
  };
}

function capped(servers: string[], notes: { reason: string; message: string }[]): string[] {
  if (servers.length <= most.servers) return servers;
  const kept = servers.slice(0, most.servers);
  notes.push({
    reason: 'DNSConfigForming',
    message: `Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: ${kept.join(' ')}`,
  });
  return kept;
}

function cappedSearches(searches: string[], notes: { reason: string; message: string }[]): string[] {
  const kept: string[] = [];
  let characters = 0;
  for (const search of searches.slice(0, most.searches)) {
    characters += search.length + (kept.length > 0 ? 1 : 0);
    if (characters > most.searchCharacters) break;
    kept.push(search);
  }
  if (kept.length < searches.length) {
    notes.push({
      reason: 'DNSConfigForming',
      message: `Search Line limits were exceeded, some search paths have been omitted, the applied search line is: ${kept.join(' ')}`,
    });
  }
  return kept;
}

/** Options of the pod replace those of the same name. */
function mergeOptions(base: readonly string[], own: readonly string[]): string[] {
  const name = (option: string): string => option.split(':')[0] ?? option;
  const overridden = new Set(own.map(name));
  return [...base.filter((option) => !overridden.has(name(option))), ...own];
}

const unique = (values: readonly string[]): string[] => [...new Set(values)];
