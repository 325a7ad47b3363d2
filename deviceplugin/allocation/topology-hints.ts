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
export function topologyHints({
  count,
  devices,
  available,
  reusable,
  machineNodes,
}: HintInput): TopologyHint[] | undefined {
  const nodes = deviceNodes(devices, machineNodes);
  if (nodes === undefined || nodes.length > mostNodes) return undefined;
  const bitOf = new Map(nodes.map((node, at) => [node, 1 << at]));
  const all = new Map<number, number>();
  const open = new Map<number, number>();
  const reused: number[] = [];
  for (const { id, numaNodes } of devices.values()) {
    let mask = 0;
    for (const node of numaNodes) mask |= bitOf.get(node) ?? 0;
    if (mask === 0) continue;
    all.set(mask, (all.get(mask) ?? 0) + 1);
    if (reusable.has(id)) reused.push(mask);
    else if (available.has(id)) open.set(mask, (open.get(mask) ?? 0) + 1);
  }

  let fewest = nodes.length;
  const fitting: { mask: number; size: number }[] = [];
  for (let mask = 1; mask < 1 << nodes.length; mask++) {
    const size = bitCount(mask);
    if (size < fewest && countWithin(all, mask) >= count) fewest = size;
    if (!reused.every((device) => (device & mask) !== 0)) continue;
    if (countWithin(open, mask) + reused.length >= count) fitting.push({ mask, size });
  }
  return fitting
    .sort((a, b) => a.size - b.size || a.mask - b.mask)
    .map(({ mask, size }) => ({
      numaNodes: nodes.filter((_, at) => (mask & (1 << at)) !== 0),
      preferred: size === fewest,
    }));
}

/** Those of the machine that hold any of these devices, ascending; undefined when no device says where it is. */
function deviceNodes(devices: DeviceList, machineNodes: readonly number[]): readonly number[] | undefined {
  const known = new Set(machineNodes);
  const used = new Set<number>();
  let told = false;
  for (const { numaNodes } of devices.values())
    for (const node of numaNodes) {
      told = true;
      if (known.has(node)) used.add(node);
    }
  return told ? [...(used.size > 0 ? used : known)].sort((a, b) => a - b) : undefined;
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
