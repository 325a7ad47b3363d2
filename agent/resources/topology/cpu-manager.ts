import { BerthError } from '../../../base/errors.js';
import {
  allContainers,
  hasPodLevelResources,
  podQosClass,
  podUidOf,
  quantityMilliValue,
  type Pod,
  type PodUid,
} from '../../api/index.js';
import { formatCpuSet, parseCpuSet } from './cpu-set.js';
import { DrainNeeded } from './kubelet-checkpoint.js';
import { hintsOf, type HintProvider, type ResourceHints, type TopologyHint } from './hints.js';
import type { Cpu, MachineTopology } from './machine-topology.js';
import { takeCpus, takeCpusEvenly, type TakeOptions } from './take-cpus.js';

export interface CpuManagerOptions extends TakeOptions {
  /** CPUs pods get no exclusive use of. */
  readonly reserved: ReadonlySet<number>;
  /** strict-cpu-reservation: nor any other use. */
  readonly strictReservation: boolean;
  /** distribute-cpus-across-numa. */
  readonly evenly: boolean;
  /** align-by-socket: CPUs of the whole socket are near those of a NUMA node. */
  readonly bySocket: boolean;
}

export class CpuError extends BerthError<{ code: 'no-cpus' | 'smt-alignment' | 'bad-checkpoint' }> {}

/** The kubelet's `cpu_manager_state`, without its checksum. */
export interface CpuManagerState {
  readonly policyName: string;
  readonly defaultCpuSet: string;
  readonly entries?: Readonly<Record<string, Readonly<Record<string, string>>>> | undefined;
}

/** Static CPU policy: containers of Guaranteed pods that ask for whole CPUs have them for themselves; all others share the rest. */
export class CpuManager implements HintProvider<Pod> {
  readonly #topology: MachineTopology;
  readonly #options: CpuManagerOptions;
  readonly #grants = new Map<PodUid, Map<string, readonly number[]>>();

  constructor(topology: MachineTopology, options: CpuManagerOptions) {
    this.#topology = topology;
    this.#options = options;
  }

  /** What the container runs on: its own CPUs, or the shared ones. */
  cpusOf(uid: PodUid, container: string): readonly number[] {
    return this.#grants.get(uid)?.get(container) ?? this.shared();
  }

  /** True when the container has CPUs of its own; then no quota may slow it down. */
  isExclusive(uid: PodUid, container: string): boolean {
    return this.#grants.get(uid)?.has(container) ?? false;
  }

  /** True when a container of the pod has CPUs of its own. */
  holds(uid: PodUid): boolean {
    return this.#grants.has(uid);
  }

  /** Pods with CPUs of their own. */
  holders(): readonly PodUid[] {
    return [...this.#grants.keys()];
  }

  /** CPUs that some container has for itself. */
  owned(): readonly number[] {
    return [...this.#grants.values()].flatMap((own) => [...own.values()].flat());
  }

  /** The container is to have CPUs of its own and has none yet. */
  wants(pod: Pod, container: string): boolean {
    return !this.isExclusive(podUidOf(pod), container) && exclusiveCpus(pod, container) > 0;
  }

  /** CPUs that pods may have for themselves, free or not. */
  allocatable(): readonly number[] {
    return this.#topology.cpus.map(({ id }) => id).filter((id) => !this.#options.reserved.has(id));
  }

  /** Those nobody has for himself. */
  shared(): readonly number[] {
    const taken = new Set(this.owned());
    const { reserved, strictReservation } = this.#options;
    return this.#topology.cpus
      .map(({ id }) => id)
      .filter((id) => !taken.has(id) && !(strictReservation && reserved.has(id)));
  }

  hints(pod: Pod, container: string | undefined): ResourceHints {
    const count = container === undefined ? exclusiveCpusOfPod(pod) : exclusiveCpus(pod, container);
    if (count === 0) return new Map();
    const own = this.#grants.get(podUidOf(pod));
    const held = new Set(container === undefined ? [...(own?.values() ?? [])].flat() : own?.get(container));
    const more = container !== undefined && held.size > 0 ? [] : [...this.#free(), ...this.#reusable(pod, container)];
    const usable = new Set([...held, ...more]);
    const within = (nodes: ReadonlySet<number>, from: ReadonlySet<number> | undefined): number =>
      this.#topology.cpus.filter(({ id, numaNode }) => nodes.has(numaNode) && (from?.has(id) ?? true)).length;
    const nodes = this.#topology.numaNodes.map(({ id }) => id);
    const hints = hintsOf(
      nodes,
      // What the pod has it keeps: all of it lies on the nodes of a hint.
      (set) => within(set, held) === held.size && within(set, usable) >= count,
      (set) => within(set, undefined) >= count,
    );
    return new Map([['cpu', this.#options.bySocket ? this.#alignedToSockets(hints, count) : hints]]);
  }

  /** Idempotent. Throws `CpuError` when there are not enough, or not in whole cores. */
  allocate(pod: Pod, container: string, numaNodes: readonly number[] | undefined): void {
    const count = exclusiveCpus(pod, container);
    const uid = podUidOf(pod);
    if (count === 0 || this.#grants.get(uid)?.has(container)) return;
    const usable = new Set([...this.#free(), ...this.#reusable(pod, container)]);
    this.#checkAlignment(count, usable);
    const near = new Set(
      this.#topology.cpus.filter((cpu) => usable.has(cpu.id) && this.#isNear(cpu, numaNodes)).map(({ id }) => id),
    );
    const take = this.#options.evenly ? takeCpusEvenly : takeCpus;
    const wanted = Math.min(count, near.size);
    const first = take(this.#topology, near, wanted, this.#options) ?? [];
    const rest = new Set([...usable].filter((id) => !first.includes(id)));
    const more = count === first.length ? [] : take(this.#topology, rest, count - first.length, this.#options);
    if (more === undefined)
      throw new CpuError(`not enough cpus available to satisfy request: requested=${count}, available=${usable.size}`, {
        code: 'no-cpus',
      });
    const own = this.#grants.get(uid) ?? new Map<string, readonly number[]>();
    own.set(
      container,
      [...first, ...more].sort((a, b) => a - b),
    );
    this.#grants.set(uid, own);
  }

  release(uid: PodUid): void {
    this.#grants.delete(uid);
  }

  state(): CpuManagerState {
    const entries = [...this.#grants].map(([uid, own]): [string, Record<string, string>] => [
      uid,
      Object.fromEntries([...own].map(([name, cpus]) => [name, formatCpuSet(cpus)])),
    ]);
    return { policyName: 'static', defaultCpuSet: formatCpuSet(this.shared()), entries: Object.fromEntries(entries) };
  }

  /**
   * Throws `CpuError` when the state is of another policy or another machine: grants of containers that run must not be guessed; and
   * `DrainNeeded` when a container has a CPU for itself that is reserved for the machine now.
   */
  restore(state: CpuManagerState): void {
    if (state.policyName !== 'static') throw bad(`it was written by policy "${state.policyName}"`);
    const present = new Set(this.#topology.cpus.map(({ id }) => id));
    const seen = new Set<number>();
    const grants = new Map<PodUid, Map<string, readonly number[]>>();
    for (const [uid, containers] of Object.entries(state.entries ?? {})) {
      const own = new Map<string, readonly number[]>();
      for (const [name, text] of Object.entries(containers)) {
        const cpus = parseCpuSet(text);
        for (const cpu of cpus) {
          if (!present.has(cpu)) throw bad(`CPU ${cpu} of container ${name} is not on this machine`);
          seen.add(cpu);
        }
        own.set(name, cpus);
      }
      grants.set(uid as PodUid, own);
    }
    for (const cpu of parseCpuSet(state.defaultCpuSet))
      if (seen.has(cpu)) throw bad(`CPU ${cpu} is shared and exclusive at once`);
    this.#checkReserved(grants, state.defaultCpuSet);
    this.#grants.clear();
    for (const [uid, own] of grants) this.#grants.set(uid, own);
  }

  /** In the kubelet's words, and whose they are. */
  #checkReserved(grants: ReadonlyMap<PodUid, ReadonlyMap<string, readonly number[]>>, defaultCpuSet: string): void {
    const { reserved } = this.#options;
    for (const [uid, own] of grants)
      for (const [container, cpus] of own) {
        const taken = cpus.filter((cpu) => reserved.has(cpu));
        if (taken.length === 0) continue;
        const all = formatCpuSet([...reserved]);
        const whose = `${formatCpuSet(taken)} belongs to container ${container} of pod ${uid}`;
        throw new DrainNeeded(
          `not all reserved cpus: "${all}" are present in defaultCpuSet: "${defaultCpuSet}" (${whose}; reserving other CPUs helps, too)`,
          { code: 'reservation-changed' },
        );
      }
  }

  #isNear({ numaNode, socket }: Cpu, numaNodes: readonly number[] | undefined): boolean {
    if (!numaNodes) return true;
    return this.#options.bySocket ? this.#socketsOf(numaNodes).has(socket) : numaNodes.includes(numaNode);
  }

  #socketsOf(numaNodes: readonly number[]): ReadonlySet<number> {
    return new Set(this.#topology.cpus.filter((cpu) => numaNodes.includes(cpu.numaNode)).map(({ socket }) => socket));
  }

  /** A set of nodes that spans no more sockets than the request needs is as good as one of fewer nodes. */
  #alignedToSockets(hints: readonly TopologyHint[], count: number): readonly TopologyHint[] {
    const { cpus } = this.#topology;
    const perSocket = cpus.length / new Set(cpus.map(({ socket }) => socket)).size;
    const fewest = Math.ceil(count / perSocket);
    return hints.map((hint) =>
      hint.numaNodes && this.#socketsOf(hint.numaNodes).size === fewest ? { ...hint, preferred: true } : hint,
    );
  }

  #checkAlignment(count: number, usable: ReadonlySet<number>): void {
    if (!this.#options.fullCores) return;
    const { cpus } = this.#topology;
    const { reserved } = this.#options;
    const perCore = cpus.length / new Set(cpus.map(({ core }) => core)).size;
    const refused = (why: string): CpuError => new CpuError(`SMT Alignment Error: ${why}`, { code: 'smt-alignment' });
    if (count % perCore !== 0) throw refused(`requested ${count} cpus not multiple cpus per core = ${perCore}`);
    // The siblings of reserved CPUs are nobody's: with one of them a container would share its core.
    const kept = new Set(cpus.filter(({ id }) => reserved.has(id)).map(({ core }) => core));
    const left = cpus.filter(({ id, core }) => usable.has(id) && !kept.has(core)).length;
    if (count <= left) return;
    throw refused(
      `not enough free physical CPUs: available physical CPUs = ${left}, requested CPUs = ${count}, CPUs per core = ${perCore}`,
    );
  }

  #free(): readonly number[] {
    return this.shared().filter((id) => !this.#options.reserved.has(id));
  }

  /** CPUs of init containers of the same pod that have ended by the time this one starts. */
  #reusable(pod: Pod, container: string | undefined): readonly number[] {
    const own = this.#grants.get(podUidOf(pod));
    if (!own) return [];
    const reusable = new Set<number>();
    for (const { kind, container: each } of allContainers(pod)) {
      if (each.name === container) break;
      const cpus = own.get(each.name) ?? [];
      for (const cpu of cpus) {
        if (kind === 'init') reusable.add(cpu);
        else reusable.delete(cpu);
      }
    }
    return [...reusable];
  }
}

/** Whole CPUs a container of a Guaranteed pod asks for; 0 when it shares. */
export function exclusiveCpus(pod: Pod, name: string): number {
  if (podQosClass(pod) !== 'Guaranteed' || hasPodLevelResources(pod)) return 0;
  const found = allContainers(pod).find(({ container }) => container.name === name)?.container;
  const resources = found?.resources;
  const milli = quantityMilliValue(resources?.requests?.['cpu'] ?? resources?.limits?.['cpu'] ?? '0');
  return milli % 1000 === 0 ? milli / 1000 : 0;
}

/** What the pod needs at once: init containers run one at a time and before the others. */
function exclusiveCpusOfPod(pod: Pod): number {
  let together = 0;
  let before = 0;
  for (const { kind, container } of allContainers(pod)) {
    const count = exclusiveCpus(pod, container.name);
    if (kind === 'init') before = Math.max(before, together + count);
    else together += count;
  }
  return Math.max(before, together);
}

function bad(reason: string): CpuError {
  return new CpuError(`read CPU manager state: ${reason}`, { code: 'bad-checkpoint' });
}
