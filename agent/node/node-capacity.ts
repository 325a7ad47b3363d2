import type { ResourceList } from '../api/index.js';
import type { HostFacts } from './host-facts.js';

/** What the machine has, apart from devices. */
export function nodeCapacity(host: HostFacts, maxPods: number): ResourceList {
  // Sizes of which none is set aside as well: a pod that asks for one does not fit here.
  const hugepages = host.hugepageSizes.map((size) => [`hugepages-${size}`, String(host.hugepages?.[size] ?? 0)]);
  return {
    cpu: String(host.cpus),
    memory: `${Math.floor(host.memoryBytes / 1024)}Ki`,
    ...(host.rootBytes === undefined ? {} : { 'ephemeral-storage': `${Math.floor(host.rootBytes / 1024)}Ki` }),
    pods: String(maxPods),
    ...(Object.fromEntries(hugepages) as ResourceList),
  };
}

/** What pods may use of the machine while nothing is reserved. */
export function nodeAllocatable(host: HostFacts, maxPods: number): ResourceList {
  return nodeCapacity(host, maxPods);
}

/** `podsPerCore` limits a small machine below `maxPods`; 0 does not. */
export function podCapacity(maxPods: number, podsPerCore: number, cpus: number): number {
  return podsPerCore > 0 ? Math.min(maxPods, podsPerCore * cpus) : maxPods;
}
