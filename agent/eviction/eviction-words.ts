import { formatQuantity } from '../api/index.js';
import type { FilesystemLayout } from '../stats/index.js';
import type { CrossedThreshold } from './decide-eviction.js';
import type { EvictionPod } from './eviction-pod.js';
import { containerAmounts } from './rank-pods.js';
import { signalFacts } from './signals.js';

const nano = 1_000_000_000n;

/** `100Mi`, `20`: as Kubernetes writes amounts. */
export function amountText(amount: number, resource: string): string {
  const format = resource === 'memory' || resource === 'ephemeral-storage' ? 'binary' : 'decimal';
  return formatQuantity({ nanos: BigInt(Math.round(amount)) * nano, format });
}

/** The kubelet's message of an eviction; tools look for parts of it. */
export function evictionMessage(pod: EvictionPod, crossed: CrossedThreshold, layout: FilesystemLayout): string {
  const { signal } = crossed.threshold;
  const { resource } = signalFacts[signal];
  const head = `The node was low on resource: ${resource}. `;
  const numbers = `Threshold quantity: ${amountText(crossed.wanted, resource)}, available: ${amountText(crossed.observed.available, resource)}. `;
  // Of processes and inodes nobody asks for any.
  if (resource !== 'memory' && resource !== 'ephemeral-storage') return head + numbers;
  const blamed = (who: string, usage: number, request: number): string =>
    `${who} was using ${amountText(usage, resource)}, request is ${amountText(request, resource)}, has larger consumption of ${resource}. `;
  const { podLevelMemoryRequest: podRequest, usage: used } = pod;
  const whole =
    resource === 'memory' && podRequest !== undefined && used ? blamed(`Pod ${pod.name}`, used.memory, podRequest) : '';
  const offenders = pod.containers.map((container) => {
    const { usage, request } = containerAmounts(container, signal, layout);
    return usage > request ? blamed(`Container ${container.name}`, usage, request) : '';
  });
  return head + numbers + whole + offenders.join('');
}

export const signalThresholdText = ({ threshold, observed, wanted }: CrossedThreshold): string => {
  const { resource } = signalFacts[threshold.signal];
  return `${threshold.signal} is ${amountText(observed.available, resource)}, less than ${amountText(wanted, resource)}`;
};
