import { BerthError } from '../../../base/errors.js';
import {
  allContainers,
  hasPodLevelResources,
  podQosClass,
  podUidOf,
  quantityValue,
  type Pod,
  type PodUid,
} from '../../api/index.js';
import { hintsOf, type HintProvider, type ResourceHints, type TopologyHint } from './hints.js';
import type { MachineTopology } from './machine-topology.js';

export class MemoryError extends BerthError<{ code: 'no-memory' | 'bad-checkpoint' | 'bad-reservation' }> {}

/** One share of memory of a container, as in the kubelet's `memory_manager_state`. */
export interface MemoryBlock {
  readonly numaAffinity: readonly number[];
  /** `memory`, `hugepages-2Mi`. */
  readonly type: string;
  readonly size: number;
}

export interface MemoryTable {
  readonly total: number;
  readonly systemReserved: number;
  readonly allocatable: number;
  readonly reserved: number;
  readonly free: number;
}

export interface MemoryManagerState {
  readonly policyName: string;
  readonly machineState: Readonly<
    Record<string, { numberOfAssignments: number; memoryMap: Record<string, MemoryTable>; cells: readonly number[] }>
  >;
  readonly entries?: Readonly<Record<string, Readonly<Record<string, readonly MemoryBlock[]>>>> | undefined;
}

/** Static memory policy: containers of Guaranteed pods get their memory from named NUMA nodes. */
export class MemoryManager implements HintProvider<Pod> {
  readonly #topology: MachineTopology;
  /** Bytes of each resource a node keeps for the machine, by node and resource. */
  readonly #reserved: ReadonlyMap<number, ReadonlyMap<string, number>>;
  readonly #grants = new Map<PodUid, Map<string, readonly MemoryBlock[]>>();

  constructor(topology: MachineTopology, reserved: ReadonlyMap<number, ReadonlyMap<string, number>>) {
    this.#topology = topology;
    this.#reserved = reserved;
  }

  /** `cpuset.mems` of the container; undefined for any. */
  nodesOf(uid: PodUid, container: string): readonly number[] | undefined {
    const blocks = this.#grants.get(uid)?.get(container);
    return blocks && ascending(blocks.flatMap(({ numaAffinity }) => numaAffinity));
  }

  /** What the container has of named nodes. */
  blocksOf(uid: PodUid, container: string): readonly MemoryBlock[] {
    return this.#grants.get(uid)?.get(container) ?? [];
  }

  holds(uid: PodUid): boolean {
    return this.#grants.has(uid);
  }

  holders(): readonly PodUid[] {
    return [...this.#grants.keys()];
  }

  /** The container is to have memory of named nodes and has none yet. */
  wants(pod: Pod, container: string): boolean {
    return this.blocksOf(podUidOf(pod), container).length === 0 && wantedMemory(pod, container).size > 0;
  }

  /** What containers may have of each node. */
  allocatable(): readonly MemoryBlock[] {
    return this.#topology.numaNodes.flatMap(({ id, memory }) =>
      [...memory.keys()]
        .map((type) => ({ numaAffinity: [id], type, size: this.#allocatable(new Set([id]), type) }))
        .filter(({ size }) => size > 0),
    );
  }

  /** The same for all types: a container's memory and huge pages come from the same nodes. */
  hints(pod: Pod, container: string | undefined): ResourceHints {
    const wanted = container === undefined ? wantedByPod(pod) : wantedMemory(pod, container);
    const own = this.#grants.get(podUidOf(pod));
    const held = container === undefined ? [...(own?.values() ?? [])].flat() : (own?.get(container) ?? []);
    const all = this.#hintsFor(pod, container, wanted);
    return new Map(
      [...wanted.keys()].map((type) => {
        const nodes = held.filter((block) => block.type === type).flatMap(({ numaAffinity }) => numaAffinity);
        return [type, nodes.length > 0 ? [{ numaNodes: ascending(nodes), preferred: true }] : all];
      }),
    );
  }

  /** Idempotent. Throws `MemoryError` when the nodes do not have it. */
  allocate(pod: Pod, container: string, numaNodes: readonly number[] | undefined): void {
    const uid = podUidOf(pod);
    const wanted = wantedMemory(pod, container);
    if (wanted.size === 0 || this.#grants.get(uid)?.has(container)) return;
    const numaAffinity =
      numaNodes && this.#isEnough(pod, container, wanted, new Set(numaNodes))
        ? numaNodes
        : this.#nodesFor(pod, container, wanted, numaNodes ?? []);
    if (!numaAffinity) {
      const amounts = [...wanted].map(([type, size]) => `${size} bytes of ${type}`).join(' and ');
      throw new MemoryError(`[memorymanager] failed to find NUMA nodes with ${amounts} for container ${container}`, {
        code: 'no-memory',
      });
    }
    const blocks = [...wanted].map(([type, size]): MemoryBlock => ({ numaAffinity, type, size }));
    const own = this.#grants.get(uid) ?? new Map<string, readonly MemoryBlock[]>();
    for (const block of blocks) this.#handOn(pod, container, block, own);
    own.set(container, blocks);
    this.#grants.set(uid, own);
  }

  release(uid: PodUid): void {
    this.#grants.delete(uid);
  }

  state(): MemoryManagerState {
    const blocks = this.#blocks();
    const machineState = Object.fromEntries(
      this.#topology.numaNodes.map(({ id, memory }) => {
        const assigned = blocks.filter(({ numaAffinity }) => numaAffinity.includes(id));
        const memoryMap = Object.fromEntries([...memory.keys()].map((type) => [type, this.#table(id, type)]));
        const cells = assigned[0]?.numaAffinity ?? [id];
        return [String(id), { numberOfAssignments: assigned.length, memoryMap, cells }];
      }),
    );
    const entries = Object.fromEntries([...this.#grants].map(([uid, own]) => [uid, Object.fromEntries(own)]));
    return { policyName: 'Static', machineState, entries };
  }

  restore(state: MemoryManagerState): void {
    if (state.policyName !== 'Static') throw bad(`it was written by policy "${state.policyName}"`);
    const present = new Set(this.#topology.numaNodes.map(({ id }) => id));
    const grants = new Map<PodUid, Map<string, readonly MemoryBlock[]>>();
    for (const [uid, containers] of Object.entries(state.entries ?? {})) {
      for (const blocks of Object.values(containers))
        for (const { numaAffinity } of blocks)
          for (const node of numaAffinity)
            if (!present.has(node)) throw bad(`NUMA node ${node} is not on this machine`);
      grants.set(uid as PodUid, new Map(Object.entries(containers)));
    }
    this.#grants.clear();
    for (const [uid, own] of grants) this.#grants.set(uid, own);
  }

  #blocks(): readonly MemoryBlock[] {
    return [...this.#grants.values()].flatMap((own) => [...own.values()].flat());
  }

  /** Nodes that serve several together serve nobody alone: what is free on one could not be told otherwise. */
  #mayUse(nodes: ReadonlySet<number>): boolean {
    return this.#blocks().every(({ numaAffinity }) => {
      const touches = numaAffinity.some((node) => nodes.has(node));
      return !touches || isSame(numaAffinity, nodes) || (nodes.size === 1 && numaAffinity.length === 1);
    });
  }

  /** The fewest nodes that have enough, with those that are asked for among them where that can be. */
  #nodesFor(pod: Pod, container: string, wanted: Wanted, asked: readonly number[]): readonly number[] | undefined {
    const sets = this.#hintsFor(pod, container, wanted).flatMap(({ numaNodes }) => (numaNodes ? [numaNodes] : []));
    return sets.find((nodes) => asked.every((node) => nodes.includes(node))) ?? sets[0];
  }

  #hintsFor(pod: Pod, container: string | undefined, wanted: Wanted): TopologyHint[] {
    return hintsOf(
      this.#topology.numaNodes.map(({ id }) => id),
      (set) => this.#mayUse(set) && this.#isEnough(pod, container, wanted, set),
      (set) => [...wanted].every(([type, size]) => this.#allocatable(set, type) >= size),
    );
  }

  #isEnough(pod: Pod, container: string | undefined, wanted: Wanted, set: ReadonlySet<number>): boolean {
    return [...wanted].every(
      ([type, size]) => this.#free(set, type) + this.#reusable(pod, container, type, set) >= size,
    );
  }

  /** What init containers of the same pod, which have ended by the time this one starts, have of exactly these nodes. */
  #reusable(pod: Pod, container: string | undefined, type: string, nodes: ReadonlySet<number>): number {
    const own = this.#grants.get(podUidOf(pod));
    if (!own || container === undefined) return 0;
    return initsBefore(pod, container)
      .flatMap((name) => own.get(name) ?? [])
      .filter((block) => block.type === type && isSame(block.numaAffinity, nodes))
      .reduce((sum, { size }) => sum + size, 0);
  }

  /** Those before keep what is left of theirs, as in the kubelet's state: the blocks of a pod together are what it takes of the machine. */
  #handOn(pod: Pod, container: string, block: MemoryBlock, own: Map<string, readonly MemoryBlock[]>): void {
    const nodes = new Set(block.numaAffinity);
    let left = block.size;
    for (const name of initsBefore(pod, container)) {
      const kept = (own.get(name) ?? []).map((each) => {
        if (each.type !== block.type || !isSame(each.numaAffinity, nodes)) return each;
        const reused = Math.min(each.size, left);
        left -= reused;
        return { ...each, size: each.size - reused };
      });
      if (own.has(name)) own.set(name, kept);
    }
  }

  #allocatable(nodes: ReadonlySet<number>, type: string): number {
    return this.#topology.numaNodes.reduce(
      (sum, { id, memory }) =>
        nodes.has(id) ? sum + Math.max((memory.get(type) ?? 0) - (this.#reserved.get(id)?.get(type) ?? 0), 0) : sum,
      0,
    );
  }

  #free(nodes: ReadonlySet<number>, type: string): number {
    const used = this.#blocks()
      .filter((block) => block.type === type && block.numaAffinity.some((node) => nodes.has(node)))
      .reduce((sum, { size }) => sum + size, 0);
    return this.#allocatable(nodes, type) - used;
  }

  #table(node: number, type: string): MemoryTable {
    const memory = this.#topology.numaNodes.find(({ id }) => id === node)?.memory ?? new Map<string, number>();
    // What is set aside as huge pages is still part of the memory there is, in the kubelet's state.
    const total = type === 'memory' ? sumOf(memory.values()) : (memory.get(type) ?? 0);
    const systemReserved = this.#reserved.get(node)?.get(type) ?? 0;
    const allocatable = this.#allocatable(new Set([node]), type);
    const reserved = this.#taken(type).get(node) ?? 0;
    return { total, systemReserved, allocatable, reserved, free: allocatable - reserved };
  }

  /** By node. Of a share of several nodes the first gives what it has, then the next. */
  #taken(type: string): ReadonlyMap<number, number> {
    const taken = new Map<number, number>();
    for (const { numaAffinity, size } of this.#blocks().filter((block) => block.type === type)) {
      let left = size;
      for (const node of numaAffinity) {
        const before = taken.get(node) ?? 0;
        const part = Math.min(left, Math.max(this.#allocatable(new Set([node]), type) - before, 0));
        taken.set(node, before + part);
        left -= part;
      }
    }
    return taken;
  }
}

type Wanted = ReadonlyMap<string, number>;

function wantedMemory(pod: Pod, name: string): Wanted {
  if (podQosClass(pod) !== 'Guaranteed' || hasPodLevelResources(pod)) return new Map();
  const { limits = {}, requests = limits } =
    allContainers(pod).find(({ container }) => container.name === name)?.container.resources ?? {};
  return new Map(
    Object.entries(requests)
      .filter(([type]) => type === 'memory' || type.startsWith('hugepages-'))
      .map(([type, quantity]) => [type, quantityValue(quantity)]),
  );
}

/** What the pod needs at once: init containers run one at a time and before the others, sidecars go on. */
function wantedByPod(pod: Pod): Wanted {
  const together = new Map<string, number>();
  const before = new Map<string, number>();
  for (const { kind, container } of allContainers(pod))
    for (const [type, size] of wantedMemory(pod, container.name)) {
      const sum = (together.get(type) ?? 0) + size;
      if (kind === 'init') before.set(type, Math.max(before.get(type) ?? 0, sum));
      else together.set(type, sum);
    }
  const types = new Set([...together.keys(), ...before.keys()]);
  return new Map([...types].map((type) => [type, Math.max(together.get(type) ?? 0, before.get(type) ?? 0)]));
}

/** Plain init containers that have ended when this one starts. */
function initsBefore(pod: Pod, container: string): readonly string[] {
  const all = allContainers(pod);
  const at = all.findIndex((each) => each.container.name === container);
  return all.slice(0, Math.max(at, 0)).flatMap((each) => (each.kind === 'init' ? [each.container.name] : []));
}

const sumOf = (amounts: Iterable<number>): number => [...amounts].reduce((sum, amount) => sum + amount, 0);

const ascending = (nodes: readonly number[]): readonly number[] => [...new Set(nodes)].sort((a, b) => a - b);

const isSame = (nodes: readonly number[], set: ReadonlySet<number>): boolean =>
  nodes.length === set.size && nodes.every((node) => set.has(node));

function bad(reason: string): MemoryError {
  return new MemoryError(`read memory manager state: ${reason}`, { code: 'bad-checkpoint' });
}
