import { readFile, readdir, statfs } from 'node:fs/promises';
import { arch, cpus, hostname, release, totalmem } from 'node:os';
import { dirname } from 'node:path';

/** What is true of this machine and does not change while it runs. */
export interface LastingHostFacts {
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
  /** Bytes of huge pages that are set aside, by size; sizes without any are left out. */
  readonly hugepages?: Readonly<Record<string, number>> | undefined;
  /** Size of the filesystem `$ROOT` lies on. */
  readonly rootBytes?: number | undefined;
  /** The most process ids the kernel gives out. */
  readonly maxPids?: number | undefined;
  readonly swapBytes?: number | undefined;
  /** The kernel enforces AppArmor profiles. */
  readonly appArmor?: boolean | undefined;
}

export interface HostFacts extends LastingHostFacts {
  /** Addresses others reach the node by, as they are when this is read (`OwnAddresses`). */
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

export async function readHostFacts(rootDir = '/var/lib/kubelet'): Promise<LastingHostFacts> {
  const [osRelease, machineId, systemUuid, bootId, pages, pidMax, meminfo, appArmor, rootBytes] = await Promise.all([
    textOf('/etc/os-release'),
    textOf('/etc/machine-id'),
    textOf('/sys/class/dmi/id/product_uuid'),
    textOf('/proc/sys/kernel/random/boot_id'),
    readHugepages(),
    textOf('/proc/sys/kernel/pid_max'),
    textOf('/proc/meminfo'),
    textOf('/sys/module/apparmor/parameters/enabled'),
    sizeOfFilesystem(rootDir),
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
    hugepageSizes: pages.map(({ size }) => size),
    hugepages: Object.fromEntries(pages.filter(({ bytes }) => bytes > 0).map(({ size, bytes }) => [size, bytes])),
    rootBytes,
    maxPids: Number(pidMax) || undefined,
    swapBytes: Number(/^SwapTotal:\s+(\d+) kB$/m.exec(meminfo)?.[1] ?? 0) * 1024,
    appArmor: appArmor.startsWith('Y'),
  };
}

async function readHugepages(): Promise<{ size: string; bytes: number }[]> {
  const folder = '/sys/kernel/mm/hugepages';
  const names = await readdir(folder).catch(() => []);
  const pages = names.map(async (name) => {
    const kib = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0);
    const count = Number(await textOf(`${folder}/${name}/nr_hugepages`));
    const size = kib % (1024 * 1024) === 0 ? `${kib / (1024 * 1024)}Gi` : `${kib / 1024}Mi`;
    return { size, bytes: count * kib * 1024 };
  });
  return (await Promise.all(pages)).filter((_, index) => names[index]?.startsWith('hugepages-'));
}

/** Of the nearest folder above that exists: `$ROOT` is made by the agent's first start. */
async function sizeOfFilesystem(path: string): Promise<number | undefined> {
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      const { blocks, bsize } = await statfs(folder);
      return blocks * bsize;
    } catch {
      if (folder === dirname(folder)) return undefined;
    }
  }
}

const textOf = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
