import type { LinuxContainerResources } from '../../../proto/generated/cri-v1.js';
import {
  allContainers,
  effectiveRequests,
  quantityMilliValue,
  quantityValue,
  type Container,
  type EphemeralContainer,
  type Pod,
} from '../../api/index.js';
import type { CgroupLimits } from '../cgroups/cgroup-limits.js';
import { podCgroupLimits, type PodLimitOptions } from '../cgroups/pod-limits.js';
import { containerResources, type NodeLimits } from '../linux-resources.js';

/** One act of a resize in place; repeating one is harmless. */
export type ResizeStep =
  | { readonly kind: 'pod-cgroup'; readonly limits: CgroupLimits }
  | { readonly kind: 'update-container'; readonly container: string; readonly resources: LinuxContainerResources }
  /** Its resizePolicy says that it takes the change only by a new start. */
  | { readonly kind: 'restart-container'; readonly container: string };

type AnyContainer = Container | EphemeralContainer;

/**
 * How running containers get from what was actuated to what is allocated, so that at no time a container is allowed more than its pod
 * (facts 4.5): raise the pod's limits, its share, then the containers, those that shrink first, then lower the pod's share and limits.
 */
export function planResize(from: Pod, to: Pod, options: PodLimitOptions, node: NodeLimits): readonly ResizeStep[] {
  const before = podCgroupLimits(from, options);
  const after = podCgroupLimits(to, options);
  const changed = changedContainers(from, to);
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
  const podSteps = (list: readonly CgroupLimits[]): ResizeStep[] =>
    list.filter((each) => Object.keys(each).length > 0).map((each) => ({ kind: 'pod-cgroup', limits: each }));
  return [
    ...podSteps([limits(true), share(true)]),
    ...changed
      .toSorted((a, b) => Number(a.grows) - Number(b.grows))
      .map(({ container, restart }): ResizeStep =>
        restart
          ? { kind: 'restart-container', container: container.name }
          : { kind: 'update-container', container: container.name, resources: updateOf(to, container, node) },
      ),
    ...podSteps([share(false), limits(false)]),
  ];
}

/** A memory limit below what the container uses now would have it killed; the kubelet refuses (facts 4.5). Undefined when there is no such problem. */
export function shrinkProblem(
  from: Pod,
  to: Pod,
  usageOf: (container: string) => number | undefined,
): string | undefined {
  for (const { container } of changedContainers(from, to)) {
    const limit = quantityValue(container.resources?.limits?.['memory'] ?? '0');
    const old = containerOf(from, container.name);
    const before = quantityValue(old?.resources?.limits?.['memory'] ?? '0');
    const usage = usageOf(container.name) ?? 0;
    if (limit > 0 && before > limit && usage >= limit)
      return `cannot decrease memory limits: attempting to set container ${container.name} memory limit to ${limit} bytes while it uses ${usage}`;
  }
  return undefined;
}

/** Only what a resize may change; the rest of the container's cgroup stays as it is. */
function updateOf(pod: Pod, container: AnyContainer, node: NodeLimits): LinuxContainerResources {
  const { cpuShares, cpuQuota, cpuPeriod, memoryLimitInBytes } = containerResources(pod, container, node);
  return { cpuShares, cpuPeriod: cpuPeriod ?? node.cpuPeriodUs, cpuQuota: cpuQuota ?? -1, memoryLimitInBytes };
}

interface Changed {
  readonly container: AnyContainer;
  readonly grows: boolean;
  readonly restart: boolean;
}

function changedContainers(from: Pod, to: Pod): readonly Changed[] {
  return allContainers(to).flatMap(({ container }): Changed[] => {
    const old = containerOf(from, container.name);
    if (!old) return [];
    const amounts = (each: AnyContainer): readonly (readonly [string, number])[] => {
      const limits = each.resources?.limits ?? {};
      const requests = effectiveRequests(each);
      return [
        ['cpu', quantityMilliValue(limits['cpu'] ?? '0')],
        ['cpu', quantityMilliValue(requests['cpu'] ?? '0')],
        ['memory', quantityValue(limits['memory'] ?? '0')],
        ['memory', quantityValue(requests['memory'] ?? '0')],
      ];
    };
    const [before, after] = [amounts(old), amounts(container)];
    const differing = after.filter(([, amount], at) => amount !== before[at]?.[1]);
    if (differing.length === 0) return [];
    const names = new Set(differing.map(([name]) => name));
    const policies = ('resizePolicy' in container ? container.resizePolicy : undefined) ?? [];
    return [
      {
        container,
        grows: after.some(([, amount], at) => amount > (before[at]?.[1] ?? 0)),
        restart: policies.some(
          ({ resourceName, restartPolicy }) => names.has(resourceName) && restartPolicy === 'RestartContainer',
        ),
      },
    ];
  });
}

const containerOf = (pod: Pod, name: string): AnyContainer | undefined =>
  allContainers(pod).find(({ container }) => container.name === name)?.container;

/** No limit is more than any. */
function pick(before: number | undefined, after: number | undefined): { changed: boolean; grows: boolean } {
  const amount = (value: number | undefined): number => (value === undefined || value < 0 ? Infinity : value);
  return { changed: before !== after, grows: amount(after) > amount(before) };
}
