import { isTerminalPhase, type PodCondition, type PodStatus } from '../../api/index.js';
import { same } from '../../status/same-status.js';

/** Fields of a pod's status that the node writes; everything else is of others and stays as it is. */
const ownedFields = [
  'phase',
  'reason',
  'message',
  'hostIP',
  'hostIPs',
  'podIP',
  'podIPs',
  'qosClass',
  'startTime',
  'observedGeneration',
  'initContainerStatuses',
  'containerStatuses',
  'ephemeralContainerStatuses',
  'resources',
  'allocatedResources',
] as const satisfies readonly (keyof PodStatus)[];

/** Once there, they never change: a node that forgot them must not take them away. */
const lasting = new Set<string>(['startTime', 'qosClass', 'hostIP', 'hostIPs', 'observedGeneration']);
/** Lists that a strategic merge would join by address instead of replacing. */
const mergedByAddress = new Set<string>(['podIPs', 'hostIPs']);
/** Objects that it would join by the names of their fields. */
const mergedByName = new Set<string>(['resources', 'allocatedResources']);

const ownedConditions = new Set([
  'PodScheduled',
  'Ready',
  'Initialized',
  'ContainersReady',
  'PodReadyToStartContainers',
  'PodResizePending',
  'PodResizeInProgress',
  'AllContainersRestarting',
  'DisruptionTarget',
]);
/** Set by whoever evicts a pod through the API as well: never taken away by the node. */
const sharedConditions = new Set(['DisruptionTarget', 'PodScheduled']);

export interface StatusPatchOptions {
  readonly mayRevive: boolean;
  /** Fields that this server does not know. */
  readonly unknown?: ReadonlySet<string> | undefined;
}

/** Fields of the patch that the server did not take over: it is older than they are. */
export function unknownFields(patch: Readonly<Record<string, unknown>>, answer: PodStatus | undefined): string[] {
  return (['resources', 'allocatedResources'] as const).filter((field) => {
    return pruned(patch[field]) !== undefined && pruned(answer?.[field]) === undefined;
  });
}

/**
 * What must be changed in the server's status to make the node's part of it `wanted`, as a strategic merge patch; undefined when
 * it is so already. A terminal phase is never taken back, except of a static pod, which starts anew under one name.
 */
export function statusPatch(
  current: PodStatus | undefined,
  wanted: PodStatus,
  options: StatusPatchOptions = { mayRevive: false },
): Record<string, unknown> | undefined {
  const before = current ?? {};
  if (!options.mayRevive && isTerminalPhase(before.phase) && before.phase !== wanted.phase) return undefined;
  const patch: Record<string, unknown> = {};
  for (const field of ownedFields) {
    if (options.unknown?.has(field) === true) continue;
    const is = pruned(before[field]);
    const next = pruned(wanted[field]);
    if (same(is, next)) continue;
    if (next === undefined && lasting.has(field)) continue;
    if (field === 'startTime' && is !== undefined && !options.mayRevive) continue;
    if (field === 'observedGeneration' && Number(is ?? 0) > Number(next ?? 0)) continue;
    patch[field] = next === undefined ? null : whole(field, is, next, wanted[field]);
  }
  const conditions = conditionsPatch(before.conditions ?? [], wanted.conditions ?? []);
  if (conditions.length > 0) patch['conditions'] = conditions;
  return Object.keys(patch).length === 0 ? undefined : patch;
}

/** A merge would keep what is no longer there. */
function whole(field: string, is: unknown, next: unknown, wanted: unknown): unknown {
  if (mergedByAddress.has(field)) return replaced(next as unknown[]);
  return mergedByName.has(field) ? withoutGone(is, next) : wanted;
}

function withoutGone(is: unknown, next: unknown): unknown {
  const isMap = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
  if (!isMap(is) || !isMap(next)) return next;
  const gone = Object.keys(is).filter((key) => next[key] === undefined);
  const kept = Object.entries(next).map(([key, value]) => [key, withoutGone(is[key], value)]);
  return Object.fromEntries([...kept, ...gone.map((key) => [key, null])]) as unknown;
}

const replaced = (items: unknown[]): unknown[] => [...items, { $patch: 'replace' }];

function conditionsPatch(current: readonly PodCondition[], wanted: readonly PodCondition[]): unknown[] {
  const before = new Map(current.map((condition) => [condition.type, condition]));
  const changed: unknown[] = wanted
    .filter(({ type }) => ownedConditions.has(type))
    .filter((condition) => !same(pruned(before.get(condition.type)), pruned(condition)))
    .map((condition) => withNulls(before.get(condition.type), condition));
  const named = new Set(wanted.map(({ type }) => type));
  for (const { type } of current) {
    if (ownedConditions.has(type) && !sharedConditions.has(type) && !named.has(type))
      changed.push({ type, $patch: 'delete' });
  }
  return changed;
}

/** A merge keeps what it is not told to drop: a reason that no longer holds. */
function withNulls(before: PodCondition | undefined, next: PodCondition): Record<string, unknown> {
  const gone = Object.keys(before ?? {}).filter((key) => next[key as keyof PodCondition] === undefined);
  return { ...next, ...Object.fromEntries(gone.map((key) => [key, null])) };
}

/** As the server stores it: without what is empty. */
function pruned(value: unknown): unknown {
  if (value === null || value === '') return undefined;
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map((item) => pruned(item) ?? {});
  if (typeof value !== 'object') return value;
  const entries = Object.entries(value)
    .map(([key, item]): [string, unknown] => [key, pruned(item)])
    .filter(([, item]) => item !== undefined);
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}
