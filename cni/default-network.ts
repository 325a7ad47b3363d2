import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../base/atomic-file.js';
import type { JsonObject } from './json.js';

export interface BridgeNetworkOptions {
  readonly name: string;
  /** Name of the bridge on the host, at most 15 characters. */
  readonly bridge: string;
  /** IPv4 and IPv6 subnets; pods get one address of each. */
  readonly subnets: readonly [string, ...string[]];
  readonly mtu?: number | undefined;
  /** Where `host-local` keeps its addresses; its own default (`/var/lib/cni/networks`) when absent. */
  readonly dataDir?: string | undefined;
  /** Map host ports. Default true. */
  readonly portMappings?: boolean | undefined;
  /** Honour the bandwidth annotations of pods. Default false. */
  readonly bandwidth?: boolean | undefined;
  /** Accept the pods' traffic in FORWARD, for hosts that drop there (Docker does). Default false. */
  readonly firewall?: boolean | undefined;
}

/** A bridge with addresses from `host-local`, masquerading, and host ports: a network for one machine. */
export function bridgeConfList(options: BridgeNetworkOptions): JsonObject {
  const { name, bridge, subnets, mtu, dataDir } = options;
  const families = subnets.map((subnet) => (subnet.includes(':') ? '::/0' : '0.0.0.0/0'));
  const plugins: JsonObject[] = [
    {
      type: 'bridge',
      bridge,
      isGateway: true,
      ipMasq: true,
      hairpinMode: true,
      ...(mtu === undefined ? {} : { mtu }),
      ipam: {
        type: 'host-local',
        ranges: subnets.map((subnet) => [{ subnet }]),
        routes: [...new Set(families)].map((dst) => ({ dst })),
        ...(dataDir === undefined ? {} : { dataDir }),
      },
    },
  ];
  if (options.portMappings ?? true) plugins.push({ type: 'portmap', capabilities: { portMappings: true }, snat: true });
  if (options.bandwidth ?? false) plugins.push({ type: 'bandwidth', capabilities: { bandwidth: true } });
  if (options.firewall ?? false) plugins.push({ type: 'firewall' });
  return { cniVersion: '1.0.0', cniVersions: ['0.4.0', '1.0.0', '1.1.0'], name, plugins };
}

/** Puts a configuration list into a folder, whole or not at all. Plugins and other runtimes may read it too, so 0644. */
export async function writeConfList(confDir: string, fileName: string, list: JsonObject): Promise<string> {
  await mkdir(confDir, { recursive: true });
  const path = join(confDir, fileName);
  await writeFileAtomic(path, `${JSON.stringify(list, undefined, 2)}\n`, { mode: 0o644 });
  return path;
}
