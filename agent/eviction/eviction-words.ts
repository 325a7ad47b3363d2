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

export interface EvictionWords {
  readonly message: string;
  /** Of the event. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** The kubelet's words of an eviction (pkg/kubelet/eviction/helpers.go); tools look for parts of the message, and for the annotations. */
export function evictionWords(pod: EvictionPod, crossed: CrossedThreshold, layout: FilesystemLayout): EvictionWords {
  const { signal } = crossed.threshold;
  const { resource } = signalFacts[signal];
  const text = (amount: number): string => amountText(amount, resource);
  const head = `The node was low on resource: ${resource}. Threshold quantity: ${text(crossed.wanted)}, available: ${text(crossed.observed.available)}. `;
  const { podLevelMemoryRequest: podRequest, usage: used } = pod;
  if (!used) return { message: head, annotations: {} };
  const blamed = (who: string, usage: number, request: number): string =>
    `${who} was using ${text(usage)}, request is ${text(request)}, has larger consumption of ${resource}. `;
  const whole = resource === 'memory' && podRequest !== undefined;
  // Of processes and inodes nobody asks for any.
  const asked = resource === 'memory' || resource === 'ephemeral-storage' ? pod.containers : [];
  const offenders = asked
    .map((container) => ({ name: container.name, ...containerAmounts(container, signal, layout) }))
    .filter(({ usage, request }) => usage > request);
  return {
    message: [
      head,
      whole ? blamed(`Pod ${pod.name}`, used.memory, podRequest) : '',
      ...offenders.map(({ name, usage, request }) => blamed(`Container ${name}`, usage, request)),
    ].join(''),
    annotations: {
      ...(whole && { offending_pod: pod.name, offending_pod_usage: text(used.memory) }),
      offending_containers: offenders.map(({ name }) => name).join(),
      offending_containers_usage: offenders.map(({ usage }) => text(usage)).join(),
      starved_resource: resource,
    },
  };
}

export const signalThresholdText = ({ threshold, observed, wanted }: CrossedThreshold): string => {
  const { resource } = signalFacts[threshold.signal];
  return `${threshold.signal} is ${amountText(observed.available, resource)}, less than ${amountText(wanted, resource)}`;
};
