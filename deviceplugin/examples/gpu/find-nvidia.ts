import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Gpu, GpuNode, GpuSet } from './gpu.js';

/** Where to look; other roots than `/` are for tests. */
export interface HostRoots {
  readonly dev: string;
  readonly proc: string;
  readonly sys: string;
}

/** Every container with a GPU needs these, as far as they are there. */
const sharedNames = ['nvidiactl', 'nvidia-uvm', 'nvidia-uvm-tools', 'nvidia-modeset'];

/**
 * The NVIDIA GPUs of this host: what the driver tells in /proc, else the bare nodes in /dev (a container that was given
 * GPUs often has no /proc of the driver). Empty when there are none.
 */
export async function findNvidia(roots: HostRoots): Promise<GpuSet> {
  const shared: GpuNode[] = [];
  for (const name of sharedNames) {
    if (await isNode(join(roots.dev, name))) shared.push(nodeOf(roots, name));
  }
  const told = await fromDriver(roots);
  const gpus = told.length > 0 ? told : await fromNodes(roots);
  return { gpus, shared: gpus.length > 0 ? shared : [] };
}

async function fromDriver(roots: HostRoots): Promise<readonly Gpu[]> {
  const folder = join(roots.proc, 'driver', 'nvidia', 'gpus');
  const gpus: Gpu[] = [];
  for (const address of await namesIn(folder)) {
    const facts = parseInformation(await readFile(join(folder, address, 'information'), 'utf8'));
    const minor = facts.get('Device Minor');
    if (minor === undefined || !(await isNode(join(roots.dev, `nvidia${minor}`)))) continue;
    const uuid = facts.get('GPU UUID') ?? '';
    gpus.push({
      // Before the driver has looked at a GPU its UUID is a row of question marks.
      id: uuid === '' || uuid.includes('?') ? `nvidia${minor}` : uuid,
      model: facts.get('Model') ?? 'NVIDIA GPU',
      nodes: [nodeOf(roots, `nvidia${minor}`)],
      numaNodes: await numaNodesOf(roots, address),
    });
  }
  return gpus;
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
