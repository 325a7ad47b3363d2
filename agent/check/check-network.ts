import { join } from 'node:path';
import { loadNetworks, type ConfiguredNetworks } from './configured-networks.js';
import { lack, note, ok, type Finding } from './finding.js';
import type { Host } from './host.js';

const basic = ['bridge', 'host-local', 'portmap', 'loopback'] as const;

export interface NetworkPlaces {
  readonly confDir: string;
  readonly binDirs: readonly string[];
}

/** A network configuration, and every program it names. */
export async function checkNetwork(host: Host, { confDir, binDirs }: NetworkPlaces): Promise<Finding[]> {
  const networks = await loadNetworks(host, confDir);
  const find = async (type: string): Promise<string | undefined> =>
    await host.executable(binDirs.map((dir) => join(dir, type)));
  return [checkConfiguration(networks, confDir), ...(await checkPlugins(networks, binDirs, find))];
}

function checkConfiguration({ names, problems }: ConfiguredNetworks, confDir: string): Finding {
  const broken = problems.map(({ file, reason }) => `${file}: ${reason}`);
  if (names.length === 0) {
    const found = broken.length > 0 ? `nothing usable in ${confDir}: ${broken.join('; ')}` : `no file in ${confDir}`;
    return lack(
      'CNI configuration',
      `${found}; pods with hostNetwork: true run all the same`,
      `write a .conflist there; a bridge for one machine is: ${exampleCommand(confDir)}`,
      'or try berth with a network of its own: berth demo',
    );
  }
  const found = `${names[0] ?? ''}${names.length > 1 ? ` (also ${names.slice(1).join(', ')}, not used)` : ''}, from ${confDir}`;
  return broken.length > 0
    ? note('CNI configuration', `${found}; set aside: ${broken.join('; ')}`, 'correct or remove the file')
    : ok('CNI configuration', found);
}

function exampleCommand(confDir: string): string {
  const list = {
    cniVersion: '1.0.0',
    name: 'berth',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        ipMasq: true,
        hairpinMode: true,
        ipam: { type: 'host-local', ranges: [[{ subnet: '10.88.0.0/16' }]], routes: [{ dst: '0.0.0.0/0' }] },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
  return `mkdir -p ${confDir} && echo '${JSON.stringify(list)}' > ${confDir}/10-berth.conflist`;
}

async function checkPlugins(
  { types }: ConfiguredNetworks,
  binDirs: readonly string[],
  find: (type: string) => Promise<string | undefined>,
): Promise<Finding[]> {
  const wanted = types.length > 0 ? types : basic;
  const found = await Promise.all(wanted.map(async (type) => [type, await find(type)] as const));
  const missing = found.flatMap(([type, path]) => (path === undefined ? [type] : []));
  const subject = 'CNI plugins';
  if (missing.length > 0)
    return [
      lack(
        subject,
        `${missing.join(', ')} in none of ${binDirs.join(', ')}`,
        'apt-get install containernetworking-plugins',
      ),
    ];
  return [ok(subject, found.map(([, path]) => path).join(', '))];
}
