import type { LinuxContainerResources } from '../../proto/generated/cri-v1.js';
import {
  hasPodLevelResources,
  quantityMilliValue,
  quantityValue,
  type Container,
  type EphemeralContainer,
  type Pod,
  type ResourceList,
  type ResourceRequirements,
} from '../api/index.js';
import { quotaOf, sharesOf } from './cpu-shares.js';
import { oomScoreAdj } from './oom-score.js';
import { swapLimit, type SwapBehavior } from './swap.js';

export interface NodeLimits {
  readonly memoryBytes: number;
  readonly cpuCfsQuota: boolean;
  readonly cpuPeriodUs: number;
  /** Page sizes the kernel offers, `2Mi`, `1Gi`. */
  readonly hugepageSizes: readonly string[];
  readonly cgroupV2: boolean;
  /** One process of a container that runs out of memory is killed, not all. */
  readonly singleProcessOomKill: boolean;
  /** Absent where the kernel does not limit swap. */
  readonly swap?: { readonly behavior: SwapBehavior; readonly swapBytes: number } | undefined;
  /** CPUs and NUMA nodes of the container's own; undefined for all. */
  readonly cpusOf?: ((pod: Pod, container: string) => ExclusiveCpus | undefined) | undefined;
}

export interface ExclusiveCpus {
  readonly cpus: string;
  readonly mems: string;
  /** Nobody else runs on them: no quota may hold the container back. */
  readonly exclusive: boolean;
}

/** Requests and limits of one container as cgroup values for the runtime (facts 4.2, 8.2b). */
export function containerResources(
  pod: Pod,
  container: Container | EphemeralContainer,
  node: NodeLimits,
): LinuxContainerResources {
  const { limits = {} } = effectiveResources(pod, container);
  const requests: ResourceList = { ...limits, ...container.resources?.requests };
  const cpuLimit = quantityMilliValue(limits['cpu'] ?? '0');
  const memoryLimitInBytes = quantityValue(limits['memory'] ?? '0');
  const own = node.cpusOf?.(pod, container.name);
  const unified = unifiedValues(pod, container, node);
  return {
    ...cpuValues(quantityMilliValue(requests['cpu'] ?? '0'), own?.exclusive === true ? 0 : cpuLimit, node),
    memoryLimitInBytes,
    // v1 limits memory and swap together and knows no share of swap: as much as memory alone is none beside it.
    ...(node.swap && !node.cgroupV2 ? { memorySwapLimitInBytes: memoryLimitInBytes } : {}),
    oomScoreAdj: oomScoreAdj(pod, container, node.memoryBytes),
    hugepageLimits: hugepageLimits(limits, node.hugepageSizes),
    ...(own ? { cpusetCpus: own.cpus, cpusetMems: own.mems } : {}),
    ...(Object.keys(unified).length > 0 ? { unified } : {}),
  };
}

/** What the container's cgroup is to have: where the pod as a whole has a limit that the container has not, it is the container's too. */
export function effectiveResources(pod: Pod, container: Container | EphemeralContainer): ResourceRequirements {
  const { resources = {} } = container;
  if (!hasPodLevelResources(pod) || !pod.spec?.resources?.limits) return resources;
  const own = Object.entries(resources.limits ?? {}).filter(([, amount]) => quantityMilliValue(amount) > 0);
  return { ...resources, limits: { ...pod.spec.resources.limits, ...Object.fromEntries(own) } };
}

function unifiedValues(
  pod: Pod,
  container: Container | EphemeralContainer,
  node: NodeLimits,
): Readonly<Record<string, string>> {
  if (!node.cgroupV2) return {};
  const swap = node.swap && swapLimit(pod, container, { ...node.swap, memoryBytes: node.memoryBytes });
  return {
    ...(node.singleProcessOomKill ? {} : { 'memory.oom.group': '1' }),
    ...(swap === undefined ? {} : { 'memory.swap.max': String(swap) }),
  };
}

export function cpuValues(
  milliRequest: number,
  milliLimit: number,
  node: Pick<NodeLimits, 'cpuCfsQuota' | 'cpuPeriodUs'>,
): LinuxContainerResources {
  const shares = { cpuShares: sharesOf(milliRequest) };
  if (!node.cpuCfsQuota || milliLimit === 0) return shares;
  return { ...shares, cpuPeriod: node.cpuPeriodUs, cpuQuota: quotaOf(milliLimit, node.cpuPeriodUs) };
}

/** Every size the node has is named, so that a container without a limit gets none. */
function hugepageLimits(limits: ResourceList, sizes: readonly string[]): { pageSize: string; limit: number }[] {
  return sizes.map((size) => ({
    pageSize: `${size}B`.replace('iB', 'B'),
    limit: quantityValue(limits[`hugepages-${size}`] ?? '0'),
  }));
}
