import { readFile, readdir } from 'node:fs/promises';
import { arch, cpus, hostname, networkInterfaces, release, totalmem } from 'node:os';

/** What is true of this machine and does not change while it runs. */
export interface HostFacts {
  readonly hostname: string;
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly kernel: string;
  readonly architecture: string;
  readonly osImage: string;
  readonly machineId: string;
  readonly systemUuid: string;
  readonly bootId: string;
  /** Huge page sizes the kernel offers, as Kubernetes writes them: `2Mi`, `1Gi`. */
  readonly hugepageSizes: readonly string[];
  /** Addresses others reach the node by; the one of the default route first. */
  readonly addresses: readonly string[];
}

const goArchitectures: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  arm: 'arm',
  ppc64: 'ppc64le',
  s390x: 's390x',
  riscv64: 'riscv64',
};

export async function readHostFacts(): Promise<HostFacts> {
  const [osRelease, machineId, systemUuid, bootId, hugepageSizes, addresses] = await Promise.all([
    textOf('/etc/os-release'),
    textOf('/etc/machine-id'),
    textOf('/sys/class/dmi/id/product_uuid'),
    textOf('/proc/sys/kernel/random/boot_id'),
    readHugepageSizes(),
    hostAddresses(),
  ]);
  return {
    hostname: hostname().toLowerCase(),
    memoryBytes: totalmem(),
    cpus: cpus().length,
    kernel: release(),
    architecture: goArchitectures[arch()] ?? arch(),
    osImage: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(osRelease)?.[1] ?? 'Linux',
    machineId: machineId.trim(),
    systemUuid: systemUuid.trim() || machineId.trim(),
    bootId: bootId.trim(),
    hugepageSizes,
    addresses,
  };
}

async function readHugepageSizes(): Promise<string[]> {
  const names = await readdir('/sys/kernel/mm/hugepages').catch(() => []);
  return names.flatMap((name) => {
    const kib = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0);
    if (kib === 0) return [];
    return [kib % (1024 * 1024) === 0 ? `${kib / (1024 * 1024)}Gi` : `${kib / 1024}Mi`];
  });
}

/** The interface of the default route comes first; without one, any address that is not loopback or link-local. */
async function hostAddresses(): Promise<string[]> {
  const routes = await textOf('/proc/net/route');
  const preferred = routes
    .split('\n')
    .slice(1)
    .map((line) => line.split('\t'))
    .find((fields) => fields[1] === '00000000')?.[0];
  const all = Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses
      .filter(({ internal, address }) => !internal && !address.startsWith('fe80'))
      .map(({ address, family }) => ({ name, address, v6: family === 'IPv6' })),
  );
  const rank = (entry: { name: string; v6: boolean }): number =>
    (entry.name === preferred ? 0 : 2) + (entry.v6 ? 1 : 0);
  const sorted = all.toSorted((a, b) => rank(a) - rank(b));
  const first = sorted[0];
  if (!first) return ['127.0.0.1'];
  const other = sorted.find((entry) => entry.v6 !== first.v6 && entry.name === first.name);
  return other ? [first.address, other.address] : [first.address];
}

const textOf = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
