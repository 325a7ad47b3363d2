import { quantityMilliValue, quantityValue } from '../api/index.js';
import { parseCpuSet, type TopologyPolicy } from '../resources/topology/index.js';
import type { KubeletConfiguration } from './kubelet/index.js';

/** Who may have CPUs and memory for himself, and from where, as the kubelet's configuration says it. */
export interface ExclusiveConfig {
  readonly cpu:
    | {
        readonly reserved: readonly number[];
        /** Of both reservations, where no CPUs are named. */
        readonly reservedMilli: number;
        readonly strictReservation: boolean;
        readonly evenly: boolean;
        readonly bySocket: boolean;
        readonly fullCores: boolean;
        readonly alignToCache: boolean;
        readonly spreadOverCores: boolean;
      }
    | undefined;
  /** Bytes each NUMA node keeps for the machine, by node and resource. */
  readonly memory: { readonly reserved: ReadonlyMap<number, ReadonlyMap<string, number>> } | undefined;
  readonly topology: {
    readonly policy: TopologyPolicy;
    readonly scope: 'container' | 'pod';
    readonly preferClosest: boolean;
    readonly mostNodes: number;
  };
}

/** Undefined where nobody has anything for himself. */
export function exclusiveOf(kubelet: KubeletConfiguration | undefined): ExclusiveConfig | undefined {
  if (!kubelet) return undefined;
  const { cpuManagerPolicy, memoryManagerPolicy, topologyManagerPolicy } = kubelet;
  if (cpuManagerPolicy === 'none' && memoryManagerPolicy === 'None' && topologyManagerPolicy === 'none')
    return undefined;
  const isSet = (options: Readonly<Record<string, string>>, name: string): boolean => options[name] === 'true';
  const { cpuManagerPolicyOptions: cpu, topologyManagerPolicyOptions: topology } = kubelet;
  return {
    cpu:
      cpuManagerPolicy === 'none'
        ? undefined
        : {
            reserved: parseCpuSet(kubelet.reservedSystemCPUs),
            reservedMilli: [kubelet.kubeReserved, kubelet.systemReserved].reduce(
              (sum, list) => sum + quantityMilliValue(list['cpu'] ?? '0'),
              0,
            ),
            strictReservation: isSet(cpu, 'strict-cpu-reservation'),
            evenly: isSet(cpu, 'distribute-cpus-across-numa'),
            bySocket: isSet(cpu, 'align-by-socket'),
            fullCores: isSet(cpu, 'full-pcpus-only'),
            alignToCache: isSet(cpu, 'prefer-align-cpus-by-uncorecache'),
            spreadOverCores: isSet(cpu, 'distribute-cpus-across-cores'),
          },
    memory:
      memoryManagerPolicy === 'None'
        ? undefined
        : {
            reserved: new Map(
              kubelet.reservedMemory.map(({ numaNode = 0, limits = {} }) => [
                numaNode,
                new Map(Object.entries(limits).map(([name, amount]) => [name, quantityValue(amount)])),
              ]),
            ),
          },
    topology: {
      policy: topologyManagerPolicy,
      scope: kubelet.topologyManagerScope,
      preferClosest: isSet(topology, 'prefer-closest-numa-nodes'),
      mostNodes: Number(topology['max-allowable-numa-nodes'] ?? 8),
    },
  };
}
