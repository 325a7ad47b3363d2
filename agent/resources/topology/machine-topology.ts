import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseCpuSet } from './cpu-set.js';

export interface Cpu {
  readonly id: number;
  /** Unique on the machine, as are socket and cache. */
  readonly core: number;
  readonly socket: number;
  readonly numaNode: number;
  readonly uncoreCache: number;
}

export interface NumaNode {
  readonly id: number;
  /** By resource: `memory`, `hugepages-2Mi`; bytes. */
  readonly memory: ReadonlyMap<string, number>;
  /** To each node, in the order of ids; 10 to itself. */
  readonly distances: readonly number[];
}

export interface MachineTopology {
  readonly cpus: readonly Cpu[];
  readonly numaNodes: readonly NumaNode[];
}

/** CPUs, cores, sockets, caches and NUMA nodes as the kernel shows them; a kernel without NUMA is one node. */
export async function readMachineTopology(sysDir = '/sys/devices/system'): Promise<MachineTopology> {
  const online = parseCpuSet(await readFile(join(sysDir, 'cpu/online'), 'utf8'));
  const nodeIds = (await listing(join(sysDir, 'node')))
    .flatMap((name) => /^node(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
  const nodeOfCpu = new Map<number, number>();
  const numaNodes: NumaNode[] = [];
  for (const id of nodeIds) {
    const folder = join(sysDir, `node/node${id}`);
    for (const cpu of parseCpuSet(await text(join(folder, 'cpulist')))) nodeOfCpu.set(cpu, id);
    const distances = (await text(join(folder, 'distance'))).trim().split(/\s+/).map(Number);
    numaNodes.push({ id, memory: await nodeMemory(folder), distances });
  }
  const cpus = await Promise.all(online.map((id) => readCpu(sysDir, id, nodeOfCpu.get(id) ?? 0)));
  return { cpus, numaNodes: numaNodes.length > 0 ? numaNodes : [{ id: 0, memory: new Map(), distances: [10] }] };
}

/** Core ids are unique within a socket only, so the first thread of a core stands for it. */
async function readCpu(sysDir: string, id: number, numaNode: number): Promise<Cpu> {
  const folder = join(sysDir, `cpu/cpu${id}`);
  const siblings = parseCpuSet((await text(join(folder, 'topology/thread_siblings_list'))) || String(id));
  const socket = Math.max(Number((await text(join(folder, 'topology/physical_package_id'))) || 0), 0);
  const shared = parseCpuSet((await text(join(folder, 'cache/index3/shared_cpu_list'))) || String(id));
  return { id, core: siblings[0] ?? id, socket, numaNode, uncoreCache: shared[0] ?? id };
}

async function nodeMemory(folder: string): Promise<ReadonlyMap<string, number>> {
  const memory = new Map<string, number>();
  const total = /MemTotal:\s+(\d+) kB/.exec(await text(join(folder, 'meminfo')))?.[1];
  let hugepages = 0;
  for (const name of await listing(join(folder, 'hugepages'))) {
    const kib = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0);
    const bytes = Number(await text(join(folder, 'hugepages', name, 'nr_hugepages'))) * kib * 1024;
    hugepages += bytes;
    memory.set(`hugepages-${kib % 1048576 === 0 ? `${kib / 1048576}Gi` : `${kib / 1024}Mi`}`, bytes);
  }
  memory.set('memory', Math.max(Number(total ?? 0) * 1024 - hugepages, 0));
  return memory;
}

const text = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
const listing = (path: string): Promise<string[]> => readdir(path).catch(() => []);
