/** A set of NUMA nodes that can serve a request. */
export interface TopologyHint {
  /** Ascending; undefined for any. */
  readonly numaNodes: readonly number[] | undefined;
  /** As few nodes as would do on an empty machine. */
  readonly preferred: boolean;
}

/** By resource: undefined for no preference, an empty list when nothing can serve it. */
export type ResourceHints = ReadonlyMap<string, readonly TopologyHint[] | undefined>;

/** Whoever hands out something that lies on NUMA nodes: CPUs, memory, devices. */
export interface HintProvider<Pod> {
  /** For one container, or with `undefined` for the pod as a whole. */
  hints(pod: Pod, container: string | undefined): ResourceHints;
}

/** Every set of nodes that can serve a request, smallest first, with those of the fewest nodes preferred. */
export function hintsOf(
  nodes: readonly number[],
  fits: (nodes: ReadonlySet<number>) => boolean,
  couldFit: (nodes: ReadonlySet<number>) => boolean,
): TopologyHint[] {
  let fewest = nodes.length;
  const fitting: number[][] = [];
  for (const mask of masksBySize(nodes.length)) {
    const chosen = nodes.filter((_, at) => (mask & (1 << at)) !== 0);
    const set = new Set(chosen);
    if (chosen.length < fewest && couldFit(set)) fewest = chosen.length;
    if (fits(set)) fitting.push(chosen);
  }
  return fitting.map((numaNodes) => ({ numaNodes, preferred: numaNodes.length === fewest }));
}

function masksBySize(count: number): number[] {
  const masks = Array.from({ length: (1 << count) - 1 }, (_, n) => n + 1);
  return masks.sort((a, b) => bitCount(a) - bitCount(b) || a - b);
}

export function bitCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; count++) rest &= rest - 1;
  return count;
}
