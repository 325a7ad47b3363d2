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

/** What a pod's cgroup gets; undefined leaves the kernel's default. */
export interface PodCgroupLimits {
  readonly cpuShares: number;
  readonly cpuQuotaUs: number | undefined;
  readonly cpuPeriodUs: number;
  readonly memoryBytes: number | undefined;
  readonly pids: number | undefined;
}

export interface PodLimitOptions {
  readonly cpuCfsQuota: boolean;
  readonly cpuPeriodUs: number;
  /** -1 for none. */
  readonly podPidsLimit: number;
}

/** Limits of the pod level by QoS class (facts 4.2): a limit only where every container, or the pod itself, has one. */
export function podCgroupLimits(pod: Pod, options: PodLimitOptions): PodCgroupLimits {
  const { cpuPeriodUs } = options;
  const pids = options.podPidsLimit > 0 ? options.podPidsLimit : undefined;
  if (podQosClass(pod) === 'BestEffort') {
    return { cpuShares: minShares, cpuQuotaUs: undefined, cpuPeriodUs, memoryBytes: undefined, pids };
  }
  const limits = podLimits(pod);
  const cpuLimit = quantityMilliValue(limits['cpu'] ?? '0');
  const limitedCpu = options.cpuCfsQuota && cpuLimit > 0 && isPodLimited(pod, 'cpu');
  return {
    cpuShares: sharesOf(quantityMilliValue(podRequests(pod)['cpu'] ?? '0')),
    cpuQuotaUs: limitedCpu ? quotaOf(cpuLimit, cpuPeriodUs) : undefined,
    cpuPeriodUs,
    memoryBytes: isPodLimited(pod, 'memory') ? quantityValue(limits['memory'] ?? '0') || undefined : undefined,
    pids,
  };
}
