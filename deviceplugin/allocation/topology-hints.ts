import type { DeviceList } from '../devices/device.js';

export interface TopologyHint {
  /** Ascending. */
  readonly numaNodes: readonly number[];
  /** The fewest nodes that could serve this request on an empty machine. */
  readonly preferred: boolean;
}

export interface HintInput {
  readonly count: number;
  readonly devices: DeviceList;
  /** Devices that may be taken: free and healthy, or those the container holds already. */
  readonly available: ReadonlySet<string>;
  /** Must all lie on the nodes of a hint. */
  readonly reusable: ReadonlySet<string>;
  /** The NUMA nodes of the machine; others that a plugin names do not count. */
  readonly machineNodes: readonly number[];
}

/** Beyond this every set of nodes cannot be looked at in a reasonable time; there is no such machine with devices on each. */
const mostNodes = 16;

/**
 * Every set of NUMA nodes that can serve the request. `undefined`: no preference, for the devices have no nodes; an empty
 * list: nothing can serve it. Only nodes that hold devices of this resource are combined: the others change nothing and
 * would double the work each.
 */
export function topologyHints(input: HintInput): readonly TopologyHint[] | undefined {
  if (![...input.devices.values()].some((device) => device.numaNodes.length > 0)) return undefined;
  const nodes = deviceNodes(input.devices, input.machineNodes);
  if (nodes.length > mostNodes) return undefined;
  const bitOf = new Map(nodes.map((node, at) => [node, 1 << at]));
  const maskOf = (id: string): number =>
    (input.devices.get(id)?.numaNodes ?? []).reduce((mask, node) => mask | (bitOf.get(node) ?? 0), 0);

  const all = countByMask([...input.devices.keys()], maskOf);
  const open = countByMask(
    [...input.available].filter((id) => !input.reusable.has(id)),
    maskOf,
  );
  const reused = [...input.reusable].map((id) => maskOf(id)).filter((mask) => mask !== 0);

  let fewest = nodes.length;
  const fitting: number[] = [];
  for (let mask = 1; mask < 1 << nodes.length; mask++) {
    const size = bitCount(mask);
    if (size < fewest && countWithin(all, mask) >= input.count) fewest = size;
    if (!reused.every((device) => (device & mask) !== 0)) continue;
    if (countWithin(open, mask) + reused.length >= input.count) fitting.push(mask);
  }
  return fitting
    .map((mask) => ({ mask, size: bitCount(mask) }))
    .sort((a, b) => a.size - b.size || a.mask - b.mask)
    .map(({ mask, size }) => ({
      numaNodes: nodes.filter((_, at) => (mask & (1 << at)) !== 0),
      preferred: size === fewest,
    }));
}

function deviceNodes(devices: DeviceList, machineNodes: readonly number[]): readonly number[] {
  const known = new Set(machineNodes);
  const used = new Set([...devices.values()].flatMap((device) => device.numaNodes).filter((node) => known.has(node)));
  return [...(used.size > 0 ? used : known)].sort((a, b) => a - b);
}

function countByMask(ids: readonly string[], maskOf: (id: string) => number): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const id of ids) {
    const mask = maskOf(id);
    if (mask !== 0) counts.set(mask, (counts.get(mask) ?? 0) + 1);
  }
  return counts;
}

function countWithin(counts: ReadonlyMap<number, number>, mask: number): number {
  let sum = 0;
  for (const [device, count] of counts) if ((device & mask) !== 0) sum += count;
  return sum;
}

function bitCount(mask: number): number {
  let rest = mask;
  let count = 0;
  for (; rest !== 0; count++) rest &= rest - 1;
  return count;
}
