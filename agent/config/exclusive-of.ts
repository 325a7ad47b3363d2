import { quantityMilliValue, quantityValue } from '../api/index.js';
import { parseCpuSet, type ReservedMemory, type TopologyPolicy } from '../resources/topology/index.js';
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
  readonly memory: { readonly reserved: ReservedMemory } | undefined;
  readonly topology: {
    readonly policy: TopologyPolicy;
    readonly scope: 'container' | 'pod';
    readonly preferClosest: boolean;
    readonly mostNodes: number;
  };
}

type Options = Readonly<Record<string, string>>;

/** As the kubelet reads them. */
const yes: ReadonlySet<string> = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
const no: ReadonlySet<string> = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);
const isSet = (options: Options, name: string): boolean => yes.has(options[name] ?? '');

const excluding = [
  ['full-pcpus-only', 'distribute-cpus-across-cores'],
  ['distribute-cpus-across-numa', 'distribute-cpus-across-cores'],
  ['prefer-align-cpus-by-uncorecache', 'distribute-cpus-across-cores'],
  ['prefer-align-cpus-by-uncorecache', 'distribute-cpus-across-numa'],
] as const;

const countOfNodes = 'max-allowable-numa-nodes';
const usualNodes = 8;

/** Values of policy options that are none, and options that exclude each other; undefined when all is well. */
export function exclusiveProblem(kubelet: KubeletConfiguration): string | undefined {
  const { cpuManagerPolicyOptions: cpu, topologyManagerPolicyOptions: topology } = kubelet;
  for (const [name, value] of [...Object.entries(cpu), ...Object.entries(topology)])
    if (name !== countOfNodes && !yes.has(value) && !no.has(value))
      return `bad value for option "${name}": expected true or false, got ${JSON.stringify(value)}`;
  const most = topology[countOfNodes];
  if (most !== undefined && !(/^\d+$/.test(most) && Number(most) >= usualNodes))
    return `bad value for option "${countOfNodes}": expected a number of at least ${usualNodes}, got ${JSON.stringify(most)}`;
  for (const [one, other] of excluding)
    if (isSet(cpu, one) && isSet(cpu, other))
      return `static policy options ${one} and ${other} can not be used at the same time`;
  if (isSet(cpu, 'align-by-socket') && kubelet.topologyManagerPolicy === 'single-numa-node')
    return 'topology manager policy single-numa-node is incompatible with the CPU manager policy option align-by-socket';
  return undefined;
}

/** Undefined where nobody has anything for himself. */
export function exclusiveOf(kubelet: KubeletConfiguration | undefined): ExclusiveConfig | undefined {
  if (!kubelet) return undefined;
  const { cpuManagerPolicy, memoryManagerPolicy, topologyManagerPolicy } = kubelet;
  if (cpuManagerPolicy === 'none' && memoryManagerPolicy === 'None' && topologyManagerPolicy === 'none')
    return undefined;
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
            reserved: reservedOf(kubelet.reservedMemory),
          },
    topology: {
      policy: topologyManagerPolicy,
      scope: kubelet.topologyManagerScope,
      preferClosest: isSet(topology, 'prefer-closest-numa-nodes'),
      mostNodes: Number(topology[countOfNodes] ?? usualNodes),
    },
  };
}

/** A NUMA node may come several times, each time with other resources. */
function reservedOf(reservations: KubeletConfiguration['reservedMemory']): ReservedMemory {
  const reserved = new Map<number, Map<string, number>>();
  for (const { numaNode = 0, limits = {} } of reservations) {
    const own = reserved.get(numaNode) ?? new Map<string, number>();
    reserved.set(numaNode, own);
    for (const [name, amount] of Object.entries(limits)) own.set(name, quantityValue(amount));
  }
  return reserved;
}
