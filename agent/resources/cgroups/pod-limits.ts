import {
  isPodLimited,
  podLimits,
  podQosClass,
  podRequests,
  quantityMilliValue,
  quantityValue,
  type Pod,
} from '../../api/index.js';
import { minShares, quotaOf, sharesOf } from '../cpu-shares.js';
import type { CgroupLimits } from './cgroup-limits.js';

export interface PodLimitOptions {
  readonly cpuCfsQuota: boolean;
  readonly cpuPeriodUs: number;
  /** Pods whose containers have CPUs for themselves: no quota may hold them back. */
  readonly hasOwnCpus?: ((pod: Pod) => boolean) | undefined;
  /** -1 for none. */
  readonly podPidsLimit: number;
  /** Sizes of which the machine has pages: `2Mi`. Every pod's share of each is limited, to 0 where it asks for none. */
  readonly hugepageSizes?: readonly string[] | undefined;
}

/** Limits of the pod level by QoS class (facts 4.2): a limit only where every container, or the pod itself, has one. */
export function podCgroupLimits(pod: Pod, options: PodLimitOptions): CgroupLimits {
  const { cpuPeriodUs, hugepageSizes = [] } = options;
  const limits = podLimits(pod);
  const common = {
    cpuPeriodUs,
    pids: options.podPidsLimit > 0 ? options.podPidsLimit : undefined,
    hugepages: new Map(
      hugepageSizes.map((size) => [kernelPageSize(size), quantityValue(limits[`hugepages-${size}`] ?? '0')]),
    ),
  };
  if (podQosClass(pod) === 'BestEffort')
    return { ...common, cpuShares: minShares, cpuQuotaUs: undefined, memoryBytes: undefined };
  const cpuLimit = quantityMilliValue(limits['cpu'] ?? '0');
  const limitedCpu =
    options.cpuCfsQuota && options.hasOwnCpus?.(pod) !== true && cpuLimit > 0 && isPodLimited(pod, 'cpu');
  return {
    ...common,
    cpuShares: sharesOf(quantityMilliValue(podRequests(pod)['cpu'] ?? '0')),
    cpuQuotaUs: limitedCpu ? quotaOf(cpuLimit, cpuPeriodUs) : undefined,
    memoryBytes: isPodLimited(pod, 'memory') ? quantityValue(limits['memory'] ?? '0') || undefined : undefined,
  };
}

/** `2Mi` is `2MB` in the names of the kernel's files. */
export const kernelPageSize = (size: string): string => size.replace(/i$/, 'B');
