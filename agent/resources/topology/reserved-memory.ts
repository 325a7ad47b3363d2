import { subtractQuantities, quantityValue, type ResourceList } from '../../api/index.js';
import type { MachineTopology } from './machine-topology.js';
import { MemoryError } from './memory-manager.js';

/** Bytes each NUMA node keeps for the machine, by node and resource. */
export type ReservedMemory = ReadonlyMap<number, ReadonlyMap<string, number>>;

/**
 * What the NUMA nodes keep for the machine must be what the node as a whole keeps of it: pods that are told of less than a NUMA node has
 * would be taken and then fail, and what is kept twice is lost. Throws `MemoryError`.
 */
export function checkReservedMemory(
  reserved: ReservedMemory,
  { numaNodes }: MachineTopology,
  { capacity, allocatable }: { readonly capacity: ResourceList; readonly allocatable: ResourceList },
): void {
  for (const node of reserved.keys())
    if (!numaNodes.some(({ id }) => id === node))
      throw bad(
        `the reserved memory configuration references a NUMA node ${node} that does not exist on this machine`,
        `it has ${numaNodes.map(({ id }) => id).join(', ')}`,
      );
  const types = new Set(['memory', ...[...reserved.values()].flatMap((each) => [...each.keys()])]);
  for (const type of types) {
    if (type !== 'memory' && capacity[type] === undefined)
      throw bad(`reservedMemory names ${type}`, 'the kernel of this machine has no pages of that size');
    const kept = keptOf(type, capacity, allocatable);
    const named = [...reserved.values()].reduce((sum, each) => sum + (each.get(type) ?? 0), 0);
    if (named !== kept)
      throw bad(
        `the total amount "${named}" of type "${type}" is not equal to the value "${kept}" determined by Node Allocatable feature`,
        type === 'memory'
          ? `make the memory of all reservedMemory together ${kept}: that is kubeReserved, systemReserved and the hard eviction threshold`
          : 'huge pages cannot be kept from pods by kubeReserved or systemReserved, so reservedMemory must not name them',
      );
  }
}

function keptOf(type: string, capacity: ResourceList, allocatable: ResourceList): number {
  const kept = quantityValue(subtractQuantities(capacity[type] ?? '0', allocatable[type] ?? '0'));
  if (type !== 'memory') return kept;
  // Pods have no memory that is set aside as huge pages, and yet nobody keeps it for the machine.
  const pages = Object.entries(capacity).filter(([name]) => name.startsWith('hugepages-'));
  return pages.reduce((rest, [, bytes]) => rest - quantityValue(bytes), kept);
}

function bad(problem: string, hint: string): MemoryError {
  return new MemoryError(`[memorymanager] ${problem} (${hint})`, { code: 'bad-reservation' });
}
