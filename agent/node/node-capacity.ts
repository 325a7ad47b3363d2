import type { Quantity } from '../api/index.js';
import type { HostFacts } from './host-facts.js';

/** What pods may use of the machine. */
export function nodeAllocatable(host: HostFacts, maxPods: number): Readonly<Record<string, Quantity>> {
  return { cpu: String(host.cpus), memory: `${Math.floor(host.memoryBytes / 1024)}Ki`, pods: String(maxPods) };
}
