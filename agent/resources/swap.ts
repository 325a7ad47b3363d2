import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  effectiveRequests,
  isCriticalPod,
  podQosClass,
  quantityValue,
  type Container,
  type EphemeralContainer,
  type Pod,
} from '../api/index.js';
import { controllerFolder, type CgroupHierarchy } from './cgroups/hierarchy.js';

export type SwapBehavior = 'NoSwap' | 'LimitedSwap';

export interface SwapNode {
  readonly behavior: SwapBehavior;
  /** 0 on a machine without any. */
  readonly swapBytes: number;
  readonly memoryBytes: number;
}

/** Swap can be limited in this cgroup, whether or not there is any: it may be switched on later. The root of v2 has no such file. */
export function limitsSwap(hierarchy: CgroupHierarchy, cgroup: string): boolean {
  const folder = controllerFolder(hierarchy, 'memory', cgroup);
  const file = hierarchy.version === 2 ? 'memory.swap.max' : 'memory.memsw.limit_in_bytes';
  return folder !== undefined && existsSync(join(folder, file));
}

/**
 * Bytes of swap the container may use (facts 4.6): in proportion to its memory request, and only for containers of Burstable pods whose
 * limit is above their request. v2 only; v1 has no limit of swap alone.
 */
export function swapLimit(pod: Pod, container: Container | EphemeralContainer, node: SwapNode): number {
  if (node.behavior === 'NoSwap' || node.swapBytes === 0) return 0;
  if (podQosClass(pod) !== 'Burstable' || isCriticalPod(pod)) return 0;
  const request = quantityValue(effectiveRequests(container)['memory'] ?? '0');
  const limit = quantityValue(container.resources?.limits?.['memory'] ?? '0');
  if (request === 0 || request === limit) return 0;
  return Math.floor((request / node.memoryBytes) * node.swapBytes);
}
