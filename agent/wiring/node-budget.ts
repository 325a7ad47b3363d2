import type { Quantity, ResourceList } from '../api/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import { housekeepingOf } from '../config/housekeeping-of.js';
import { evictionReserve } from '../eviction/index.js';
import type { HousekeepingConfig } from '../config/housekeeping-config.js';
import type { HostFacts } from '../node/host-facts.js';
import { nodeCapacity } from '../node/node-capacity.js';
import type { CgroupLimits } from '../resources/cgroups/cgroup-limits.js';
import { allocatableOf, checkReservations, kubepodsLimits } from '../resources/node-allocatable.js';

/** What the machine has, and how it is shared between pods and the machine itself. */
export interface NodeBudget {
  readonly capacity: ResourceList;
  readonly allocatable: Readonly<Record<string, Quantity>>;
  /** Limits of all pods together. */
  readonly podsLimits: CgroupLimits;
  readonly fitness: HousekeepingConfig;
}

/** Throws `ReservationError` when the configuration keeps more than there is. */
export function nodeBudget(config: AgentConfig, host: HostFacts): NodeBudget {
  const capacity = nodeCapacity(host, config.limits.maxPods);
  const fitness = housekeepingOf(config.kubelet);
  const { reservations, eviction } = fitness;
  checkReservations(reservations, capacity);
  return {
    capacity,
    fitness,
    allocatable: allocatableOf(capacity, reservations, evictionReserve(eviction, capacity)),
    podsLimits: kubepodsLimits(capacity, reservations, host.maxPids),
  };
}
