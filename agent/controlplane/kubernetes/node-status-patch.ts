import { isExtendedResource } from '../../../deviceplugin/index.js';
import type { NodeStatus } from '../../api/index.js';
import { same } from '../../status/same-status.js';

/** Lists with a merge key; entries that are gone must be named. */
const keyedLists: Readonly<Record<string, string>> = { addresses: 'type', conditions: 'type' };
/** Written by the control plane. */
const foreign = new Set(['volumesAttached', 'config', 'phase']);
/** Others put resources there as well: extended resources that an operator patched in. */
const shared = new Set(['capacity', 'allocatable']);

/** What must be changed in the node's status; undefined when nothing must. Conditions of others stay. */
export function nodeStatusPatch(current: NodeStatus, wanted: NodeStatus): Record<string, unknown> | undefined {
  const patch: Record<string, unknown> = {};
  for (const [field, next] of Object.entries(wanted) as Array<[keyof NodeStatus, unknown]>) {
    const is = current[field];
    if (foreign.has(field) || next === undefined || same(is, next)) continue;
    // The server leaves out lists without entries.
    if (is === undefined && Array.isArray(next) && next.length === 0) continue;
    if (field === 'conditions') {
      const before = new Map((current.conditions ?? []).map((condition) => [condition.type, condition]));
      const changed = (wanted.conditions ?? []).filter((condition) => !same(before.get(condition.type), condition));
      if (changed.length > 0) patch[field] = changed;
    } else if (keyedLists[field]) {
      // Two addresses may have one type: the list is replaced as a whole.
      patch[field] = [...(next as unknown[]), { $patch: 'replace' }];
    } else if (shared.has(field)) {
      const fields = next as Readonly<Record<string, unknown>>;
      const before = (is ?? {}) as Readonly<Record<string, unknown>>;
      const changed = Object.entries(fields).filter(([key, value]) => !same(before[key], value));
      const gone = field === 'allocatable' ? noLongerThere(current, wanted) : [];
      if (changed.length + gone.length > 0)
        patch[field] = Object.fromEntries([...changed, ...gone.map((key) => [key, null] as const)]);
    } else {
      patch[field] = next;
    }
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

/** Extended resources that are allocatable and that nobody says any more that the node has. */
function noLongerThere(current: NodeStatus, wanted: NodeStatus): readonly string[] {
  const has = { ...current.capacity, ...wanted.capacity };
  return Object.keys(current.allocatable ?? {}).filter((name) => has[name] === undefined && isExtendedResource(name));
}
