import type * as v1 from '../../../proto/generated/cri-v1.js';
import type { OciResources } from './oci-types.js';

export interface ResourceHost {
  readonly cgroupVersion: 1 | 2;
  /** Swap accounting exists (`memory.memsw.*`, `memory.swap.max`); without it a swap limit cannot be written. */
  readonly swapLimit: boolean;
  /** Page sizes the hugetlb controller knows: `2MB`, `1GB`. */
  readonly hugepageSizes: readonly string[];
}

/** CRI resources in OCI words. Zero and absent both mean "not set", as in the proto. */
export function buildResources(cri: v1.LinuxContainerResources | null | undefined, host: ResourceHost): OciResources {
  if (cri == null) return {};
  const limit = positive(cri.memoryLimitInBytes);
  const swap = host.swapLimit ? swapLimit(cri, limit, host) : undefined;
  const memory = limit === undefined && swap === undefined ? undefined : { limit, swap };
  const cpu = {
    shares: positive(cri.cpuShares),
    quota: cri.cpuQuota === undefined || cri.cpuQuota === 0 ? undefined : cri.cpuQuota,
    period: positive(cri.cpuPeriod),
    cpus: nonEmpty(cri.cpusetCpus),
    mems: nonEmpty(cri.cpusetMems),
  };
  const hugepages = (cri.hugepageLimits ?? [])
    .map(({ pageSize = '', limit = 0 }) => ({ pageSize: hugetlbName(pageSize), limit }))
    .filter(({ pageSize }) => host.hugepageSizes.includes(pageSize));
  const { unified = {} } = cri;
  return {
    memory,
    cpu: Object.values(cpu).some((value) => value !== undefined) ? cpu : undefined,
    hugepageLimits: hugepages.length > 0 ? hugepages : undefined,
    unified: Object.keys(unified).length > 0 ? { ...unified } : undefined,
  };
}

/**
 * OCI's `swap` is memory plus swap. Unset with a memory limit means no swap at all, as the kubelet's NoSwap default wants; on
 * v2 the kubelet says so itself through `unified` `memory.swap.max`, which then stands alone.
 */
function swapLimit(cri: v1.LinuxContainerResources, limit: number | undefined, host: ResourceHost): number | undefined {
  const asked = cri.memorySwapLimitInBytes;
  if (asked !== undefined && asked !== 0) return asked;
  if (host.cgroupVersion === 2 && cri.unified?.['memory.swap.max'] !== undefined) return undefined;
  return limit;
}

/** `2Mi` and `2MB` both mean the kernel's folder name `2MB`. */
function hugetlbName(pageSize: string): string {
  return pageSize.replace(/^(\d+)([KMG])i?B?$/, '$1$2B');
}

/** The old values with the ones that are set in `update` on top. */
export function mergeResources(
  old: v1.LinuxContainerResources | null | undefined,
  update: v1.LinuxContainerResources,
): v1.LinuxContainerResources {
  const merged: Record<string, unknown> = { ...old };
  for (const [key, value] of Object.entries(update)) {
    const unset = value === undefined || value === 0 || value === '' || (Array.isArray(value) && value.length === 0);
    if (!unset) merged[key] = key === 'unified' ? { ...old?.unified, ...(value as object) } : value;
  }
  // Where there was no swap beside the memory, there is none beside more or less of it.
  const { memoryLimitInBytes: had, memorySwapLimitInBytes: both } = old ?? {};
  if (had && had === both && update.memoryLimitInBytes && !update.memorySwapLimitInBytes)
    merged['memorySwapLimitInBytes'] = update.memoryLimitInBytes;
  return merged;
}

const positive = (value: number | undefined): number | undefined =>
  value === undefined || value === 0 ? undefined : value;
const nonEmpty = (value: string | undefined): string | undefined => (value === '' ? undefined : value);
