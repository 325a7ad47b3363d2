import { BerthError } from '../../base/errors.js';
import {
  addQuantities,
  compareQuantities,
  parseQuantity,
  quantityMilliValue,
  quantityValue,
  subtractQuantities,
  type Quantity,
  type ResourceList,
} from '../api/index.js';
import type { CgroupLimits } from './cgroups/cgroup-limits.js';
import { kernelPageSize } from './cgroups/pod-limits.js';
import { sharesOf } from './cpu-shares.js';

export type EnforceLevel =
  'pods' | 'system-reserved' | 'kube-reserved' | 'system-reserved-compressible' | 'kube-reserved-compressible';

export interface Reservations {
  readonly kubeReserved: ResourceList;
  readonly systemReserved: ResourceList;
  readonly kubeReservedCgroup: string;
  readonly systemReservedCgroup: string;
  /** Number of CPUs of `reservedSystemCPUs`, in place of the CPU part of both reservations; 0 for none. */
  readonly reservedCpus: number;
  readonly enforce: readonly EnforceLevel[];
}

export const noReservations: Reservations = {
  kubeReserved: {},
  systemReserved: {},
  kubeReservedCgroup: '',
  systemReservedCgroup: '',
  reservedCpus: 0,
  enforce: ['pods'],
};

export class ReservationError extends BerthError<{ code: 'bad-reservation'; resource: string }> {}

const reservable = new Set(['cpu', 'memory', 'ephemeral-storage', 'pid']);

/** Why so much of a resource cannot be reserved on any machine; undefined when it can. */
export function reservationProblem(name: string, amount: Quantity): string | undefined {
  if (!reservable.has(name)) return 'cannot be reserved (only cpu, memory, ephemeral-storage and pid can)';
  if (parseQuantity(amount) === undefined) return `expected an amount such as "1Gi", got ${JSON.stringify(amount)}`;
  return compareQuantities(amount, '0') < 0 ? `${amount} must not be negative` : undefined;
}

/** Throws `ReservationError` when more is reserved than there is, or something that cannot be. */
export function checkReservations(reservations: Reservations, capacity: ResourceList): void {
  for (const list of [reservations.kubeReserved, reservations.systemReserved])
    for (const [name, amount] of Object.entries(list)) {
      const problem = reservationProblem(name, amount);
      if (problem !== undefined) throw bad(name, problem);
    }
  for (const name of reservable) {
    const there = capacity[name];
    const reserved = reservedOf(name, reservations);
    if (there !== undefined && compareQuantities(reserved, there) > 0)
      throw bad(name, `${reserved} is more than the machine's ${there}`);
  }
  const { enforce, kubeReservedCgroup, systemReservedCgroup } = reservations;
  const needs = [
    ['kube-reserved', kubeReservedCgroup, 'kubeReservedCgroup'],
    ['system-reserved', systemReservedCgroup, 'systemReservedCgroup'],
  ] as const;
  for (const [level, cgroup, field] of needs)
    if (enforce.some((each) => each.startsWith(level)) && cgroup === '')
      throw bad(level, `is to be enforced, but ${field} is not set`);
}

function reservedOf(name: string, { kubeReserved, systemReserved, reservedCpus }: Reservations): Quantity {
  if (name === 'cpu' && reservedCpus > 0) return String(reservedCpus);
  return sum(kubeReserved[name], systemReserved[name]);
}

const sum = (a: Quantity = '0', b: Quantity = '0'): Quantity => addQuantities(a, b);

/**
 * What pods may use (facts 4.3): capacity less reservations, hard eviction thresholds, and for memory what is set aside as huge pages.
 * Never negative.
 */
export function allocatableOf(
  capacity: ResourceList,
  reservations: Reservations,
  evictionThresholds: ResourceList,
): ResourceList {
  const hugepages = Object.entries(capacity).filter(([name]) => name.startsWith('hugepages-'));
  return Object.fromEntries(
    Object.entries(capacity).map(([name, amount]) => {
      const less = [reservedOf(name, reservations), evictionThresholds[name]];
      if (name === 'memory') less.push(...hugepages.map(([, bytes]) => bytes));
      const left = less.reduce<Quantity>((rest, part) => subtractQuantities(rest, part ?? '0'), amount);
      return [name, compareQuantities(left, '0') < 0 ? '0' : left];
    }),
  );
}

/** Limits of `kubepods`: capacity less reservations; eviction keeps its threshold free, the kernel does not. */
export function kubepodsLimits(
  capacity: ResourceList,
  reservations: Reservations,
  maxPids: number | undefined,
): CgroupLimits {
  const enforced = reservations.enforce.includes('pods');
  const left = (name: string): Quantity =>
    enforced ? subtractQuantities(capacity[name] ?? '0', reservedOf(name, reservations)) : (capacity[name] ?? '0');
  const reservedPids = enforced ? quantityValue(reservedOf('pid', reservations)) : 0;
  return {
    cpuShares: sharesOf(quantityMilliValue(left('cpu'))),
    memoryBytes: quantityValue(left('memory')) || undefined,
    pids: maxPids === undefined ? undefined : maxPids - reservedPids,
    hugepages: new Map(
      Object.entries(capacity)
        .filter(([name]) => name.startsWith('hugepages-'))
        .map(([name, bytes]) => [kernelPageSize(name.slice('hugepages-'.length)), quantityValue(bytes)]),
    ),
  };
}

/** Limits of the cgroups of the machine's own services, which must exist already. */
export function reservedLimits(
  reservations: Reservations,
): readonly { readonly what: 'kube' | 'system'; readonly cgroup: string; readonly limits: CgroupLimits }[] {
  const { enforce, kubeReserved, systemReserved, kubeReservedCgroup, systemReservedCgroup } = reservations;
  const limitsOf = (list: ResourceList, compressibleOnly: boolean): CgroupLimits => ({
    cpuShares: list['cpu'] === undefined ? undefined : sharesOf(quantityMilliValue(list['cpu'])),
    ...(compressibleOnly
      ? {}
      : {
          memoryBytes: list['memory'] === undefined ? undefined : quantityValue(list['memory']),
          pids: list['pid'] === undefined ? undefined : quantityValue(list['pid']),
        }),
  });
  const levels = [
    ['kube', kubeReservedCgroup, kubeReserved],
    ['system', systemReservedCgroup, systemReserved],
  ] as const;
  return levels.flatMap(([what, cgroup, list]) => {
    if (enforce.includes(`${what}-reserved`)) return [{ what, cgroup, limits: limitsOf(list, false) }];
    return enforce.includes(`${what}-reserved-compressible`) ? [{ what, cgroup, limits: limitsOf(list, true) }] : [];
  });
}

function bad(resource: string, reason: string): ReservationError {
  return new ReservationError(`read reservations: ${resource}: ${reason}`, { code: 'bad-reservation', resource });
}
