import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Gpu, GpuNode, GpuSet } from './gpu.js';

/** Where to look; other roots than `/` are for tests. */
export interface HostRoots {
  readonly dev: string;
  readonly proc: string;
  readonly sys: string;
}

/** UUIDs of the GPUs whose MIG mode is on, as far as anybody can tell. */
export type FindMigMode = () => Promise<ReadonlySet<string>>;

/** Every container with a GPU needs these, as far as they are there. */
const sharedNames = ['nvidiactl', 'nvidia-uvm', 'nvidia-uvm-tools', 'nvidia-modeset'];

/**
 * The NVIDIA GPUs of this host without NVML: what the driver tells in /proc, else the bare nodes in /dev (a container that was given
 * GPUs often has no /proc of the driver). A GPU that is divided (MIG) is offered as its compute instances, for as a whole nobody can use it; one
 * that is to be divided and is not yet is not offered. Empty when there are none.
 */
export async function findNvidia(roots: HostRoots, findMigMode: FindMigMode): Promise<GpuSet> {
  const shared: GpuNode[] = [];
  for (const name of sharedNames) {
    if (await isNode(join(roots.dev, name))) shared.push(nodeOf(roots, name));
  }
  const notes: string[] = [];
  // Hexadecimal, and of one length: as texts they come in the order of the bus.
  const names = await namesIn(join(roots.proc, 'driver', 'nvidia', 'gpus'));
  const addresses = names.toSorted((a, b) => (a < b ? -1 : 1));
  let asked: Promise<ReadonlySet<string>> | undefined;
  // Once, and only where it matters.
  const inMigMode = (): Promise<ReadonlySet<string>> => (asked ??= findMigMode());
  const found = await Promise.all(addresses.map((address) => fromDriver(roots, address, inMigMode, notes)));
  // A driver that knows GPUs has said all there is, also where it says that none may be used.
  const gpus = addresses.length > 0 ? found.flat() : await fromNodes(roots);
  return { gpus, shared: gpus.length > 0 ? shared : [], notes };
}

async function fromDriver(
  roots: HostRoots,
  address: string,
  inMigMode: FindMigMode,
  notes: string[],
): Promise<readonly Gpu[]> {
  const path = join(roots.proc, 'driver', 'nvidia', 'gpus', address, 'information');
  const skip = (reason: string): readonly Gpu[] => {
    notes.push(`the GPU at ${address} is not offered: ${reason}`);
    return [];
  };
  const text = await textOf(path);
  if (text === undefined) return skip(`${path} cannot be read`);
  const facts = parseInformation(text);
  const minor = facts.get('Device Minor') ?? '';
  if (facts.get('GPU Excluded') === 'Yes') return skip('the driver was told to leave it alone');
  if (!/^\d+$/.test(minor)) return skip('the driver gives it no minor number');
  if (!(await isNode(join(roots.dev, `nvidia${minor}`))))
    return skip(`there is no node /dev/nvidia${minor} (nvidia-modprobe -u -c ${minor} makes it)`);
  const uuid = facts.get('GPU UUID') ?? '';
  const whole: Gpu = {
    // Before the driver has looked at a GPU its UUID is a row of question marks.
    id: uuid === '' || uuid.includes('?') ? `nvidia${minor}` : uuid,
    model: facts.get('Model') ?? 'NVIDIA GPU',
    nodes: [nodeOf(roots, `nvidia${minor}`)],
    numaNodes: await numaNodesOf(roots, address),
  };
  const instances = await computeInstances(roots, minor);
  if (instances.length === 0)
    return (await inMigMode()).has(uuid)
      ? skip('its MIG mode is on and it has no compute instances (nvidia-smi mig -cgi PROFILE -C makes them)')
      : [whole];
  const usable = instances.filter(({ nodes }) => nodes !== undefined);
  if (usable.length < instances.length)
    notes.push(
      `${instances.length - usable.length} instances of ${whole.id} are not offered: their nodes in /dev/nvidia-caps are missing (nvidia-modprobe -f makes them)`,
    );
  return usable.map(({ name, nodes = [] }) => ({
    ...whole,
    // The name that needs no NVML to find out; the runtime of NVIDIA takes it as it takes a UUID.
    id: `MIG-${whole.id}/${name}`,
    model: `${whole.model} MIG ${name}`,
    nodes: [...whole.nodes, ...nodes],
  }));
}

interface ComputeInstance {
  /** `1/0`: GPU instance, compute instance. */
  readonly name: string;
  /** Undefined where one of them is not there. */
  readonly nodes: readonly GpuNode[] | undefined;
}

/** `capabilities/gpu0/mig/gi1/ci0/access` names the node that opens an instance, and so does the one of the GPU instance it lies in. */
async function computeInstances(roots: HostRoots, minor: string): Promise<readonly ComputeInstance[]> {
  const mig = join(roots.proc, 'driver', 'nvidia', 'capabilities', `gpu${minor}`, 'mig');
  const found: ComputeInstance[] = [];
  for (const [gi, inGi] of await numbered(mig, 'gi'))
    for (const [ci, inCi] of await numbered(inGi, 'ci')) {
      const nodes = await Promise.all([inGi, inCi].map((folder) => capabilityNode(roots, join(folder, 'access'))));
      const there = nodes.flatMap((node) => node ?? []);
      found.push({ name: `${gi}/${ci}`, nodes: there.length === nodes.length ? there : undefined });
    }
  return found;
}

async function numbered(folder: string, prefix: string): Promise<readonly (readonly [string, string])[]> {
  const names = await namesIn(folder);
  return names.flatMap((name) => {
    const number = name.startsWith(prefix) ? name.slice(prefix.length) : '';
    return /^\d+$/.test(number) ? [[number, join(folder, name)] as const] : [];
  });
}

async function capabilityNode(roots: HostRoots, accessPath: string): Promise<GpuNode | undefined> {
  const minor = parseInformation((await textOf(accessPath)) ?? '').get('DeviceFileMinor');
  const name = `nvidia-caps/nvidia-cap${minor}`;
  return minor !== undefined && (await isNode(join(roots.dev, name))) ? nodeOf(roots, name) : undefined;
}

async function fromNodes(roots: HostRoots): Promise<readonly Gpu[]> {
  const gpus: Gpu[] = [];
  for (const name of await namesIn(roots.dev)) {
    if (!/^nvidia\d+$/.test(name) || !(await isNode(join(roots.dev, name)))) continue;
    gpus.push({ id: name, model: 'NVIDIA GPU', nodes: [nodeOf(roots, name)], numaNodes: [] });
  }
  return gpus;
}

/** `Key:   value` lines. */
function parseInformation(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split('\n').flatMap((line) => {
      const colon = line.indexOf(':');
      return colon < 0 ? [] : [[line.slice(0, colon).trim(), line.slice(colon + 1).trim()] as const];
    }),
  );
}

async function numaNodesOf(roots: HostRoots, address: string): Promise<readonly number[]> {
  try {
    const path = join(roots.sys, 'bus', 'pci', 'devices', address.toLowerCase(), 'numa_node');
    const node = Number((await readFile(path, 'utf8')).trim());
    return node >= 0 ? [node] : [];
  } catch {
    return [];
  }
}

const nodeOf = (roots: HostRoots, name: string): GpuNode => ({
  hostPath: join(roots.dev, name),
  containerPath: `/dev/${name}`,
});

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    // It went, or the driver does not answer for it.
    return undefined;
  }
}

async function isNode(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isCharacterDevice();
  } catch {
    return false;
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  } catch {
    return [];
  }
}
