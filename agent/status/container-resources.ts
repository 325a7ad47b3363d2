import {
  exactQuantity,
  quantityMilliValue,
  type Container,
  type Quantity,
  type ResourceRequirements,
} from '../api/index.js';
import type { ObservedContainer } from '../podloop/pod-facts.js';

const milli = 1_000_000n;
const unit = 1_000_000_000n;
const cpuShares = { perCpu: 1024, least: 2 };
/** Thousandths of a CPU: no quota is below this, whatever was asked for. */
const leastCpuLimit = 10;

/**
 * What the container really has: the allocation, with what the runtime reports of CPU and memory put in its place. Where both are the
 * same amount, the allocation's own spelling stays.
 */
export function actualResources(container: Container, instance: ObservedContainer): ResourceRequirements {
  const allocated = container.resources ?? {};
  const linux = instance.state === 'running' ? instance.resources?.linux : undefined;
  if (!linux) return allocated;
  const { cpuQuota = 0, cpuPeriod = 0, cpuShares: shares = 0, memoryLimitInBytes = 0 } = linux;
  const quota = cpuQuota > 0 && cpuPeriod > 0 ? Math.round((cpuQuota * 1000) / cpuPeriod) : undefined;
  const isLeast =
    quota !== undefined && Math.max(quota, quantityMilliValue(allocated.limits?.['cpu'] ?? '0')) <= leastCpuLimit;
  const cpuLimit = isLeast ? undefined : quota;
  const cpuRequest = shares > cpuShares.least ? Math.ceil((shares * 1000) / cpuShares.perCpu) : undefined;
  const limits = replaced(allocated.limits, [
    ['cpu', cpuLimit === undefined ? undefined : BigInt(cpuLimit) * milli, `${cpuLimit}m`],
    ['memory', memoryLimitInBytes > 0 ? BigInt(memoryLimitInBytes) * unit : undefined, `${memoryLimitInBytes}`],
  ]);
  const requests = replaced(allocated.requests, [
    ['cpu', cpuRequest === undefined ? undefined : BigInt(cpuRequest) * milli, `${cpuRequest}m`],
  ]);
  if (limits === allocated.limits && requests === allocated.requests) return allocated;
  return { ...allocated, ...(limits && { limits }), ...(requests && { requests }) };
}

type Amount = readonly [name: string, nanos: bigint | undefined, text: string];

function replaced(
  list: Record<string, Quantity> | undefined,
  amounts: readonly Amount[],
): Record<string, Quantity> | undefined {
  if (!list) return undefined;
  let result = list;
  for (const [name, nanos, text] of amounts) {
    const present = list[name];
    if (nanos === undefined || present === undefined || exactQuantity(present).nanos === nanos) continue;
    result = { ...result, [name]: text };
  }
  return result;
}
