interface Base {
  readonly at: number;
  readonly totalNs: number;
  readonly nanoCores: number | undefined;
}

/** Shortest time a rate is averaged over. */
const leastWindowMs = 1000;

/** Turns counters of CPU time into rates. Many readers may ask at any time: a rate is only made anew over a whole window. */
export class CpuRates {
  #bases = new Map<string, Base>();

  nanoCores(cgroup: string, totalNs: number, at: number): number | undefined {
    const base = this.#bases.get(cgroup);
    if (!base || totalNs < base.totalNs || at < base.at) {
      this.#bases.set(cgroup, { at, totalNs, nanoCores: undefined });
      return undefined;
    }
    const elapsed = at - base.at;
    if (elapsed < leastWindowMs) return base.nanoCores;
    const nanoCores = Math.round((totalNs - base.totalNs) / (elapsed / 1000));
    this.#bases.set(cgroup, { at, totalNs, nanoCores });
    return nanoCores;
  }

  /** Forgets cgroups that were not looked at since `at`. */
  forgetOlderThan(at: number): void {
    for (const [cgroup, base] of this.#bases) if (base.at < at) this.#bases.delete(cgroup);
  }
}
