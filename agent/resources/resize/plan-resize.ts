import type { LinuxContainerResources } from '../../../proto/generated/cri-v1.js';
import {
  allContainers,
  quantityMilliValue,
  quantityValue,
  type Container,
  type Pod,
  type ResourceRequirements,
} from '../../api/index.js';
import type { CgroupLimits } from '../cgroups/cgroup-limits.js';
import { effectiveResources } from '../linux-resources.js';
import { changedResources, needsRestart, type PodResources } from './pod-resources.js';

export interface LimitChanges {
  /** Those that raise, before the containers are touched. */
  readonly first: readonly CgroupLimits[];
  /** Those that lower, after them. */
  readonly last: readonly CgroupLimits[];
}

/**
 * How a pod's cgroup gets from the limits it has to those it is to have, so that at no time a container is allowed more than its pod
 * (facts 4.5): limits go up before the share, and the share down before the limits.
 */
export function limitChanges(before: CgroupLimits, after: CgroupLimits): LimitChanges {
  const quota = pick(before.cpuQuotaUs, after.cpuQuotaUs);
  const memory = pick(before.memoryBytes, after.memoryBytes);
  const shares = pick(before.cpuShares, after.cpuShares);
  const limits = (raise: boolean): CgroupLimits => ({
    ...(quota.changed && quota.grows === raise
      ? { cpuQuotaUs: after.cpuQuotaUs ?? -1, cpuPeriodUs: after.cpuPeriodUs }
      : {}),
    ...(memory.changed && memory.grows === raise ? { memoryBytes: after.memoryBytes ?? -1 } : {}),
  });
  const share = (raise: boolean): CgroupLimits =>
    shares.changed && shares.grows === raise ? { cpuShares: after.cpuShares } : {};
  const some = (list: readonly CgroupLimits[]): readonly CgroupLimits[] =>
    list.filter((each) => Object.keys(each).length > 0);
  return { first: some([limits(true), share(true)]), last: some([share(false), limits(false)]) };
}

export interface ContainerChange {
  readonly container: Container;
  readonly before: ResourceRequirements | undefined;
  /** Its resizePolicy says that it takes the change only by a new start. */
  readonly restart: boolean;
}

/** What is to be done about a container that was given something else than it is promised now; undefined for nothing. */
export function containerChange(
  given: PodResources | undefined,
  pod: Pod,
  spec: Container,
): ContainerChange | undefined {
  const resources = effectiveResources(pod, spec);
  const container = resources === spec.resources ? spec : { ...spec, resources };
  const before = given?.containers.get(container.name);
  // Nothing is known of it: it is given what it is to have once more, which is harmless; a restart would not be.
  if (before === undefined) return { container, before, restart: false };
  const changed = changedResources(before, container.resources);
  return changed.size === 0 ? undefined : { container, before, restart: needsRestart(container, changed) };
}

/** All changes, those of containers that shrink first. */
export function containerChanges(given: PodResources | undefined, pod: Pod): readonly ContainerChange[] {
  return allContainers(pod)
    .flatMap(({ kind, container }) =>
      kind === 'ephemeral' ? [] : (containerChange(given, pod, container as Container) ?? []),
    )
    .toSorted((a, b) => Number(asksForMore(a)) - Number(asksForMore(b)));
}

export interface MemoryUse {
  readonly pod: number | undefined;
  container(name: string): number | undefined;
}

/**
 * A memory limit below what is in use now would have something killed, and the kubelet refuses it (facts 4.5), in these words. Undefined
 * when there is no such problem.
 */
export function shrinkProblem(
  changes: readonly ContainerChange[],
  podLimit: { readonly before: number | undefined; readonly after: number | undefined },
  use: MemoryUse,
): string | undefined {
  const problems: string[] = [];
  const { before = Infinity, after = Infinity } = podLimit;
  if (after < before && use.pod !== undefined && use.pod >= after)
    problems.push(`attempting to set pod memory limit (${after}) below current usage (${use.pod})`);
  for (const { container, before: given, restart } of changes) {
    const limit = memoryLimit(container.resources);
    if (restart || limit === 0 || given === undefined) continue;
    const old = memoryLimit(given);
    const used = old === 0 || limit < old ? use.container(container.name) : undefined;
    if (used !== undefined && used >= limit)
      problems.push(
        `attempting to set container "${container.name}" memory limit (${limit}) below current usage (${used})`,
      );
  }
  if (problems.length === 0) return undefined;
  return `cannot decrease memory limits: ${problems.length === 1 ? problems[0] : `[${problems.join(', ')}]`}`;
}

/**
 * Only what a resize may change; the rest of the container's cgroup stays as it is. A limit that never was is not taken away: not every
 * runtime can write that there is none.
 */
export function resizeUpdate(
  { container, before }: ContainerChange,
  all: LinuxContainerResources,
): LinuxContainerResources {
  const { cpuShares, cpuQuota, cpuPeriod, memoryLimitInBytes, memorySwapLimitInBytes } = all;
  const had = before?.limits?.['cpu'] !== undefined && container.resources?.limits?.['cpu'] === undefined;
  return {
    cpuShares,
    ...(cpuQuota === undefined ? (had ? { cpuQuota: -1 } : {}) : { cpuQuota, cpuPeriod }),
    ...(memoryLimitInBytes ? { memoryLimitInBytes } : {}),
    // On v1 the limit of memory and swap together: the one of memory alone may not pass it.
    ...(memorySwapLimitInBytes ? { memorySwapLimitInBytes } : {}),
  };
}

const memoryLimit = (resources: ResourceRequirements | undefined): number =>
  quantityValue(resources?.limits?.['memory'] ?? '0');

function asksForMore({ before, container: { resources = {} } }: ContainerChange): boolean {
  if (!before) return true;
  const lists = ['requests', 'limits'] as const;
  return lists.some((list) =>
    [...changedResources({ [list]: before[list] }, { [list]: resources[list] })].some(
      (name) => quantityValueOf(resources[list]?.[name]) > quantityValueOf(before[list]?.[name]),
    ),
  );
}

/** Both are compared with their like only. */
const quantityValueOf = (quantity: string | number | undefined): number =>
  quantity === undefined ? 0 : quantityMilliValue(quantity);

/** No limit is more than any. */
function pick(before: number | undefined, after: number | undefined): { changed: boolean; grows: boolean } {
  const amount = (value: number | undefined): number => (value === undefined || value < 0 ? Infinity : value);
  return { changed: amount(before) !== amount(after), grows: amount(after) > amount(before) };
}
