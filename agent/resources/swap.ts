import {
  effectiveRequests,
  isCriticalPod,
  podQosClass,
  quantityValue,
  type Container,
  type EphemeralContainer,
  type Pod,
} from '../api/index.js';

export type SwapBehavior = 'NoSwap' | 'LimitedSwap';

export interface SwapNode {
  readonly behavior: SwapBehavior;
  /** 0 on a machine without any. */
  readonly swapBytes: number;
  readonly memoryBytes: number;
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
