import { bitCount, type ResourceHints, type TopologyHint } from './hints.js';

export type TopologyPolicy = 'none' | 'best-effort' | 'restricted' | 'single-numa-node';

export interface MergeOptions {
  readonly policy: TopologyPolicy;
  /** prefer-closest-numa-nodes. */
  readonly preferClosest: boolean;
  readonly nodes: readonly number[];
  /** Between two nodes, by their place in `nodes`. */
  distance(a: number, b: number): number;
}

export interface MergedHint {
  /** Where everything of the container is to be taken from; undefined for anywhere. */
  readonly numaNodes: readonly number[] | undefined;
  readonly admit: boolean;
}

interface Merged {
  readonly mask: number;
  readonly preferred: boolean;
  /** The one set all hints name; undefined once two differ, -1 while none named any. */
  readonly common: number | undefined;
}

const anywhere: TopologyHint = { numaNodes: undefined, preferred: true };
const nowhere: TopologyHint = { numaNodes: undefined, preferred: false };
const noneNamed = -1;

/** One set of NUMA nodes for all that a container asks of several providers, and whether the policy takes the pod with it. */
export function mergeHints(providers: readonly ResourceHints[], options: MergeOptions): MergedHint {
  if (options.policy === 'none') return { numaNodes: undefined, admit: true };
  const lists = hintLists(providers).map((list) => (options.policy === 'single-numa-node' ? singleNode(list) : list));
  const all = (1 << options.nodes.length) - 1;
  const fewestNeeded = Math.max(0, ...lists.map((list) => narrowest(list, options)));
  let best: Merged | undefined;
  for (const candidate of permutations(lists, all, options)) best = better(best, candidate, fewestNeeded, options);
  const chosen = best ?? { mask: all, preferred: false, common: undefined };
  const admit = options.policy === 'best-effort' || chosen.preferred;
  if (options.policy === 'single-numa-node' && chosen.mask === all && bitCount(all) > 1)
    return { numaNodes: undefined, admit };
  return { numaNodes: options.nodes.filter((_, at) => (chosen.mask & (1 << at)) !== 0), admit };
}

function hintLists(providers: readonly ResourceHints[]): readonly (readonly TopologyHint[])[] {
  return providers.flatMap((hints) => {
    if (hints.size === 0) return [[anywhere]];
    return [...hints.values()].map((list) => (list === undefined ? [anywhere] : list.length === 0 ? [nowhere] : list));
  });
}

const singleNode = (list: readonly TopologyHint[]): TopologyHint[] =>
  list.filter(({ numaNodes, preferred }) => preferred && (numaNodes === undefined || numaNodes.length === 1));

const maskOf = (hint: TopologyHint, { nodes }: MergeOptions): number | undefined =>
  hint.numaNodes?.reduce((mask, node) => mask | (1 << nodes.indexOf(node)), 0);

function narrowest(list: readonly TopologyHint[], options: MergeOptions): number {
  const sizes = list.flatMap((hint) => maskOf(hint, options) ?? []).map(bitCount);
  return sizes.length === 0 ? 0 : Math.min(...sizes);
}

/**
 * What every choice of one hint from each list comes to. Choices that come to the same are followed once: without that their number is the product of
 * the lists' lengths.
 */
function permutations(
  lists: readonly (readonly TopologyHint[])[],
  all: number,
  options: MergeOptions,
): Iterable<Merged> {
  let states = new Map<string, Merged>([['', { mask: all, preferred: true, common: noneNamed }]]);
  for (const list of lists) {
    const next = new Map<string, Merged>();
    for (const state of states.values()) {
      for (const hint of list) {
        const mask = maskOf(hint, options);
        const common =
          mask === undefined || state.common === mask ? state.common : state.common === noneNamed ? mask : undefined;
        const merged: Merged = {
          mask: mask === undefined ? state.mask : state.mask & mask,
          preferred: state.preferred && hint.preferred && common !== undefined,
          common,
        };
        next.set(`${merged.mask}/${String(merged.preferred)}/${String(common)}`, merged);
      }
    }
    states = next;
  }
  return states.values();
}

/** Preferred before not; then the fitter set; of sets that are not preferred, the one closest to what the neediest provider asks. */
function better(
  best: Merged | undefined,
  candidate: Merged,
  fewestNeeded: number,
  options: MergeOptions,
): Merged | undefined {
  if (candidate.mask === 0) return best;
  if (!best) return candidate;
  if (best.preferred !== candidate.preferred) return best.preferred ? best : candidate;
  if (best.preferred) return fitter(best, candidate, options);
  const [own, other] = [bitCount(best.mask), bitCount(candidate.mask)];
  if (own > fewestNeeded) return fitter(best, candidate, options);
  if (own === fewestNeeded) return other === fewestNeeded ? fitter(best, candidate, options) : best;
  if (other > fewestNeeded) return best;
  if (other !== own) return other > own ? candidate : best;
  return fitter(best, candidate, options);
}

function fitter(best: Merged, candidate: Merged, options: MergeOptions): Merged {
  if (options.preferClosest && options.policy !== 'single-numa-node') {
    const nearer = meanDistance(candidate.mask, options) - meanDistance(best.mask, options);
    if (nearer !== 0) return nearer < 0 ? candidate : best;
  }
  const smaller = bitCount(candidate.mask) - bitCount(best.mask);
  if (smaller !== 0) return smaller < 0 ? candidate : best;
  return candidate.mask < best.mask ? candidate : best;
}

function meanDistance(mask: number, options: MergeOptions): number {
  const chosen = options.nodes.flatMap((_, at) => ((mask & (1 << at)) === 0 ? [] : [at]));
  const sum = chosen.reduce((total, a) => total + chosen.reduce((part, b) => part + options.distance(a, b), 0), 0);
  return sum / (chosen.length * chosen.length);
}
