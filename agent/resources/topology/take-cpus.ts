import type { Cpu, MachineTopology } from './machine-topology.js';

export interface TakeOptions {
  /** Whole cores only (full-pcpus-only). */
  readonly fullCores: boolean;
  /** prefer-align-cpus-by-uncorecache. */
  readonly alignToCache: boolean;
  /** distribute-cpus-across-cores: one thread of as many cores as possible. */
  readonly spreadOverCores: boolean;
}

/** Chooses `count` of the available CPUs, packed onto as few sockets, nodes, caches and cores as can be; undefined when there are too few. */
export function takeCpus(
  topology: MachineTopology,
  available: ReadonlySet<number>,
  count: number,
  options: TakeOptions,
): readonly number[] | undefined {
  if (available.size < count) return undefined;
  const picker = new CpuPicker(topology, available, count);
  // The larger of the two levels first: a socket may hold several nodes, a node several sockets.
  const perNode = new Set(topology.cpus.map(({ socket }) => socket)).size > topology.numaNodes.length;
  const levels: ReadonlyArray<keyof Cpu> = perNode ? ['numaNode', 'socket'] : ['socket', 'numaNode'];
  for (const level of levels) picker.takeWhole(level);
  if (options.alignToCache) {
    picker.takeWhole('uncoreCache');
    picker.takeFromOneCache(options.fullCores);
  }
  if (options.spreadOverCores) picker.takeOnePerCore();
  else picker.takeWhole('core');
  if (options.fullCores && picker.missing > 0) return undefined;
  picker.takeSingles();
  return picker.taken;
}

class CpuPicker {
  readonly #all: readonly Cpu[];
  readonly #free: Set<number>;
  readonly #taken: Cpu[] = [];
  #missing: number;

  constructor(topology: MachineTopology, available: ReadonlySet<number>, count: number) {
    this.#all = topology.cpus;
    this.#free = new Set(available);
    this.#missing = count;
  }

  get missing(): number {
    return this.#missing;
  }

  get taken(): readonly number[] {
    return this.#taken.map(({ id }) => id).sort((a, b) => a - b);
  }

  /** Groups that are free as a whole, the most crowded surroundings first, so that large free places stay whole. */
  takeWhole(level: keyof Cpu): void {
    for (const group of this.#sorted(this.#groups(level), level)) {
      if (group.length > this.#missing || !group.every(({ id }) => this.#free.has(id))) continue;
      this.#take(group);
    }
  }

  /** All that is missing from the cache with the fewest CPUs left that has enough; nothing where none has. */
  takeFromOneCache(wholeCores: boolean): void {
    if (this.#missing === 0) return;
    const onNode = countBy(this.#freeCpus(), 'numaNode');
    const left = this.#groups('uncoreCache')
      .map((cache) => this.#freeByCore(cache, wholeCores))
      .filter((free) => free.length >= this.#missing)
      .sort(
        (a, b) =>
          (onNode.get(a[0]?.numaNode ?? 0) ?? 0) - (onNode.get(b[0]?.numaNode ?? 0) ?? 0) || a.length - b.length,
      );
    this.#take((left[0] ?? []).slice(0, this.#missing));
  }

  /** Those that are free, the most complete cores first. */
  #freeByCore(cpus: readonly Cpu[], wholeCores: boolean): Cpu[] {
    const free = cpus.filter(({ id }) => this.#free.has(id));
    const [all, left] = [countBy(this.#all, 'core'), countBy(free, 'core')];
    const taken = ({ core }: Cpu): number => (all.get(core) ?? 0) - (left.get(core) ?? 0);
    return free
      .filter((cpu) => !wholeCores || taken(cpu) === 0)
      .sort((a, b) => taken(a) - taken(b) || a.core - b.core || a.id - b.id);
  }

  takeOnePerCore(): void {
    for (const group of this.#sorted(this.#groups('core'), 'core')) {
      const [first] = group.filter(({ id }) => this.#free.has(id));
      if (first && this.#missing > 0) this.#take([first]);
    }
  }

  takeSingles(): void {
    const used = new Set(this.#taken.map(({ socket }) => socket));
    const freeOf = (level: keyof Cpu): ReadonlyMap<number, number> => countBy(this.#freeCpus(), level);
    const [sockets, cores] = [freeOf('socket'), freeOf('core')];
    const singles = this.#freeCpus().sort(
      (a, b) =>
        Number(used.has(b.socket)) - Number(used.has(a.socket)) ||
        (sockets.get(a.socket) ?? 0) - (sockets.get(b.socket) ?? 0) ||
        (cores.get(a.core) ?? 0) - (cores.get(b.core) ?? 0) ||
        a.id - b.id,
    );
    this.#take(singles.slice(0, this.#missing));
  }

  #groups(level: keyof Cpu): Cpu[][] {
    const groups = new Map<number, Cpu[]>();
    for (const cpu of this.#all) groups.set(cpu[level], [...(groups.get(cpu[level]) ?? []), cpu]);
    return [...groups.values()];
  }

  #sorted(groups: Cpu[][], level: keyof Cpu): Cpu[][] {
    const around: ReadonlyArray<keyof Cpu> = level === 'core' ? ['numaNode', 'socket'] : ['socket'];
    const free = around.map((each) => [each, countBy(this.#freeCpus(), each)] as const);
    return groups.sort((a, b) => {
      const [first, second] = [a[0], b[0]];
      if (!first || !second) return 0;
      for (const [each, counts] of free) {
        const difference = (counts.get(first[each]) ?? 0) - (counts.get(second[each]) ?? 0);
        if (difference !== 0) return difference;
      }
      return first.id - second.id;
    });
  }

  #freeCpus(): Cpu[] {
    return this.#all.filter(({ id }) => this.#free.has(id));
  }

  #take(cpus: readonly Cpu[]): void {
    for (const cpu of cpus) {
      this.#free.delete(cpu.id);
      this.#taken.push(cpu);
      this.#missing--;
    }
  }
}

function countBy(cpus: readonly Cpu[], level: keyof Cpu): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const cpu of cpus) counts.set(cpu[level], (counts.get(cpu[level]) ?? 0) + 1);
  return counts;
}

/**
 * The same number from each of as few NUMA nodes as can serve the request (distribute-cpus-across-numa), and of what cannot be shared out
 * evenly the rest from those that have most left; packed where no nodes can do that.
 */
export function takeCpusEvenly(
  topology: MachineTopology,
  available: ReadonlySet<number>,
  count: number,
  options: TakeOptions,
): readonly number[] | undefined {
  const perCore = topology.cpus.length / new Set(topology.cpus.map(({ core }) => core)).size;
  const nodes = topology.numaNodes
    .map(({ id }) => topology.cpus.filter((cpu) => cpu.numaNode === id && available.has(cpu.id)).map((cpu) => cpu.id))
    .filter((cpus) => cpus.length > 0)
    .sort((a, b) => b.length - a.length);
  for (let used = 1; used <= nodes.length; used++) {
    const chosen = nodes.slice(0, used);
    const free = chosen.map((cpus) => cpus.length);
    const shares = evenShares(free, count, options.fullCores ? perCore : 1);
    const parts = shares && chosen.map((cpus, at) => takeCpus(topology, new Set(cpus), shares[at] ?? 0, options));
    if (parts?.every((part) => part !== undefined)) return parts.flat().sort((a, b) => a - b);
  }
  return takeCpus(topology, available, count, options);
}

/** How many CPUs each gives, in groups; undefined where one has too few, or groups do not make up the count. */
function evenShares(free: readonly number[], count: number, group: number): readonly number[] | undefined {
  const even = Math.floor(count / free.length / group) * group;
  if (count % group !== 0 || free.some((each) => each < even)) return undefined;
  const shares = free.map(() => even);
  for (let rest = count - even * free.length; rest > 0; rest -= group) {
    const left = free.map((each, at) => each - (shares[at] ?? 0));
    const most = left.indexOf(Math.max(...left));
    if ((left[most] ?? 0) < group) return undefined;
    shares[most] = (shares[most] ?? 0) + group;
  }
  return shares;
}
