import { CpuError } from './cpu-manager.js';
import type { MachineTopology } from './machine-topology.js';
import { takeCpus } from './take-cpus.js';

/** The CPUs no pod gets for itself: those that are named, or as many whole ones as the reservations come to. */
export function reservedCpus(
  topology: MachineTopology,
  named: readonly number[],
  reservedMilli: number,
): ReadonlySet<number> {
  if (named.length > 0) return new Set(named);
  const count = Math.ceil(reservedMilli / 1000);
  if (count === 0)
    throw new CpuError(
      '[cpumanager] the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero',
      { code: 'no-cpus' },
    );
  const all = new Set(topology.cpus.map(({ id }) => id));
  const packed = { fullCores: false, alignToCache: false, spreadOverCores: false };
  const taken = takeCpus(topology, all, count, packed);
  if (!taken)
    throw new CpuError(`[cpumanager] unable to reserve the required amount of CPUs (${count} of ${all.size})`, {
      code: 'no-cpus',
    });
  return new Set(taken);
}
