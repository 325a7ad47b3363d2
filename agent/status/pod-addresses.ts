import { isIPv6 } from 'node:net';
import type { PodStatus } from '../api/index.js';
import { currentSandbox, isHostNetwork, type PodView } from '../podloop/pod-view.js';

type Addresses = Pick<PodStatus, 'hostIP' | 'hostIPs' | 'podIP' | 'podIPs'>;

/** Addresses of node and pod, the node's primary family first, at most one of each family. */
export function podAddresses(view: PodView, previous: PodStatus | undefined): Addresses {
  const hostIps = view.facts.hostIps.slice(0, 2);
  const podIps = isHostNetwork(view.pod) ? hostNetworkIps(hostIps, previous) : sandboxIps(view, hostIps, previous);
  return { ...asFields('hostIP', 'hostIPs', hostIps), ...asFields('podIP', 'podIPs', podIps) };
}

function asFields(one: 'hostIP' | 'podIP', all: 'hostIPs' | 'podIPs', ips: readonly string[]): Addresses {
  return ips.length === 0 ? {} : { [one]: ips[0], [all]: ips.map((ip) => ({ ip })) };
}

/** Addresses stay those of the last sandbox until the next one has its own. */
function sandboxIps(view: PodView, hostIps: readonly string[], previous: PodStatus | undefined): readonly string[] {
  const ips = currentSandbox(view)?.ips ?? [];
  if (ips.length === 0) return (previous?.podIPs ?? []).map(({ ip }) => ip);
  const isPrimary = (ip: string): boolean => isIPv6(ip) === isIPv6(hostIps[0] ?? '');
  return [ips.find(isPrimary), ips.find((ip) => !isPrimary(ip))].filter((ip) => ip !== undefined);
}

/** Never changed once reported; a second family may join. */
function hostNetworkIps(hostIps: readonly string[], previous: PodStatus | undefined): readonly string[] {
  const [first = hostIps[0], second] = (previous?.podIPs ?? []).map(({ ip }) => ip);
  if (first === undefined) return [];
  const other = second ?? (hostIps[1] !== undefined && isIPv6(hostIps[1]) !== isIPv6(first) ? hostIps[1] : undefined);
  return other === undefined ? [first] : [first, other];
}
