import { randomBytes } from 'node:crypto';

export interface BenchNetwork {
  readonly bridge: string;
  readonly subnet: string;
}

/** The plugins of the bridge network that floor and agent both use: bridge with host-local, then portmap. */
export function pluginConfigs({ bridge, subnet }: BenchNetwork): Record<string, unknown>[] {
  const common = { cniVersion: '1.0.0', name: bridge };
  return [
    {
      ...common,
      type: 'bridge',
      bridge,
      isGateway: true,
      ipMasq: true,
      hairpinMode: true,
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet }]],
        routes: [{ dst: '0.0.0.0/0' }],
        dataDir: `/run/berth-bench/${bridge}`,
      },
    },
    { ...common, type: 'portmap', capabilities: { portMappings: true }, snat: true },
  ];
}

export function confList(network: BenchNetwork): unknown {
  const plugins = pluginConfigs(network).map(({ cniVersion: _version, name: _name, ...plugin }) => plugin);
  return { cniVersion: '1.0.0', name: network.bridge, plugins };
}

/** A network nobody else uses: 4094 pods fit. */
export function ownNetwork(letter: 'f' | 'a'): BenchNetwork {
  const second = 200 + (letter === 'f' ? 0 : 1);
  return { bridge: `bb${letter}${randomBytes(3).toString('hex')}`, subnet: `10.${second}.0.0/20` };
}
