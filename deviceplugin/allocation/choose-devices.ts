import type { DeviceList } from '../devices/device.js';

export interface ChooseInput {
  readonly count: number;
  readonly devices: DeviceList;
  /** Held by somebody, this pod included. */
  readonly inUse: ReadonlySet<string>;
  /** Held by init containers of this pod that will have ended; taken before all others. */
  readonly reusable: ReadonlySet<string>;
  /** NUMA nodes the topology manager chose; undefined for no wish. */
  readonly affinity: readonly number[] | undefined;
  /** The plugin's opinion: not asked yet, has none, or these. */
  readonly preferred: 'not-asked' | 'none' | readonly string[];
}

export type DeviceChoice =
  | { readonly kind: 'chosen'; readonly ids: readonly string[] }
  /** There is a choice left: ask the plugin and choose again with what it says. */
  | {
      readonly kind: 'ask';
      readonly available: readonly string[];
      readonly mustInclude: readonly string[];
      readonly size: number;
    }
  | { readonly kind: 'short'; readonly requested: number; readonly available: number };

/**
 * Picks devices for a container: reused ones first, then those on the wished NUMA nodes, then the others with a node, then
 * those without; inside a group what the plugin prefers, then its own order. Only healthy, free devices are ever taken.
 */
export function chooseDevices(input: ChooseInput): DeviceChoice {
  const { count, devices, inUse, reusable } = input;
  const taken = healthyOf(devices, (id) => reusable.has(id)).slice(0, count);
  const needed = count - taken.length;
  if (needed === 0) return { kind: 'chosen', ids: taken };

  const free = healthyOf(devices, (id) => !inUse.has(id) && !reusable.has(id));
  if (free.length < needed) return { kind: 'short', requested: needed, available: free.length };
  const { aligned, unaligned, without } = byAffinity(free, devices, input.affinity);

  // With more aligned devices than needed the plugin chooses among these; else all of them are taken first (that is what
  // the topology manager was promised) and the plugin chooses among the rest.
  const fixed = needed < aligned.length ? taken : [...taken, ...aligned];
  const open = needed < aligned.length ? aligned : [...unaligned, ...without];
  const missing = count - fixed.length;
  if (missing === 0) return { kind: 'chosen', ids: fixed };
  if (missing === open.length) return { kind: 'chosen', ids: [...fixed, ...open] };
  if (input.preferred === 'not-asked') {
    return { kind: 'ask', available: [...fixed, ...open], mustInclude: fixed, size: count };
  }
  const wished = new Set(input.preferred === 'none' ? [] : input.preferred);
  const ordered = [...open.filter((id) => wished.has(id)), ...open.filter((id) => !wished.has(id))];
  return { kind: 'chosen', ids: [...fixed, ...ordered.slice(0, missing)] };
}

function healthyOf(devices: DeviceList, wanted: (id: string) => boolean): string[] {
  const ids: string[] = [];
  for (const device of devices.values()) if (device.healthy && wanted(device.id)) ids.push(device.id);
  return ids;
}

function byAffinity(
  free: readonly string[],
  devices: DeviceList,
  affinity: readonly number[] | undefined,
): { aligned: string[]; unaligned: string[]; without: string[] } {
  const groups = { aligned: [] as string[], unaligned: [] as string[], without: [] as string[] };
  const wished = new Set(affinity);
  for (const id of free) {
    const nodes = devices.get(id)?.numaNodes ?? [];
    // Without a wish all devices are alike.
    if (affinity === undefined || nodes.length === 0) groups.without.push(id);
    else if (nodes.some((node) => wished.has(node))) groups.aligned.push(id);
    else groups.unaligned.push(id);
  }
  return groups;
}
