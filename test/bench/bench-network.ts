import { randomBytes } from 'node:crypto';

export interface BenchNetwork {
  readonly bridge: string;
  readonly subnet: string;
  /** Where host-local keeps the addresses. */
  readonly dataDir: string;
}

/** The plugins of the floor's network, those of berth's default one: bridge with host-local, then portmap. */
export function pluginConfigs({ bridge, subnet, dataDir }: BenchNetwork): Record<string, unknown>[] {
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
        dataDir,
      },
    },
    { ...common, type: 'portmap', capabilities: { portMappings: true }, snat: true },
  ];
}

/** A network nobody else uses: 4094 pods fit. */
export function ownNetwork(dataDir: string): BenchNetwork {
  return { bridge: `bb${randomBytes(3).toString('hex')}`, subnet: '10.200.0.0/20', dataDir };
}
