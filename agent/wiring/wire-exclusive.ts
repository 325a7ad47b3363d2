import { join } from 'node:path';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import { allContainers, podUidOf, type Pod, type PodUid, type ResourceList } from '../api/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import { exclusiveOf, exclusiveProblem, type ExclusiveConfig } from '../config/exclusive-of.js';
import type { ExclusiveResources, PodDevices } from '../devices/index.js';
import type { PodGrants } from '../executors/executor-deps.js';
import type { GrantWait } from '../podloop/pod-facts.js';
import type { ExclusiveCpus } from '../resources/linux-resources.js';
import type { Accumulator } from '../serving/metrics/accumulators.js';
import {
  checkReservedMemory,
  CpuManager,
  cpuStateChecksum,
  exclusiveCpus,
  ExclusiveCounts,
  ExclusiveGrants,
  KubeletCheckpoint,
  MemoryManager,
  memoryStateChecksum,
  readMachineTopology,
  reservedCpus,
  TopologyError,
  TopologyManager,
  type CpuManagerState,
  type MachineTopology,
  type MemoryBlock,
  type MemoryManagerState,
} from '../resources/topology/index.js';

export interface ExclusiveParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly capacity: ResourceList;
  readonly allocatable: ResourceList;
}

export interface ExclusiveUsers {
  readonly devices: PodDevices;
  ending(): readonly { readonly pod: Pod; readonly until: number }[];
  wake(uid: PodUid): void;
  wakeAll(): void;
}

/** CPUs and memory for containers alone, where the configuration has a policy for them. */
export interface Exclusive {
  /** Some container of the pod has CPUs to itself: no quota may hold it back. */
  hasCpus(pod: Pod): boolean;
  readonly cpus: boolean;
  readonly memory: boolean;
  /** What was asked for and granted, for metrics. */
  readonly counts: readonly Accumulator[];
  /** For the pod resources API. */
  readonly told: ExclusiveResources | undefined;
  grants(users: ExclusiveUsers): NodeGrants;
}

/** All that is granted to pods when they are taken. */
export interface NodeGrants {
  readonly grants: PodGrants;
  waitOf(uid: PodUid): GrantWait | undefined;
  present(): Promise<readonly PodUid[]>;
  /** Absent where containers run anywhere. */
  readonly placeOf?: ((pod: Pod, container: string) => ExclusiveCpus) | undefined;
  readonly cpusOf?: ((pod: Pod, container: string) => string) | undefined;
  readonly affinity?: ((pod: Pod, container: string) => readonly number[] | undefined) | undefined;
}

/**
 * Reads what earlier agents gave out. Rejects when a policy is another than that of the file: what runs was placed by it, and the
 * kubelet asks for the node to be drained then, too.
 */
export async function wireExclusive(
  config: AgentConfig,
  { clock, log, ...amounts }: ExclusiveParts,
): Promise<Exclusive> {
  const { rootDir } = config.paths;
  const wanted = exclusiveOf(config.kubelet);
  const cpuFile = new KubeletCheckpoint<CpuManagerState>(
    join(rootDir, 'cpu_manager_state'),
    'CPU manager',
    cpuStateChecksum,
  );
  const memoryFile = new KubeletCheckpoint<MemoryManagerState>(
    join(rootDir, 'memory_manager_state'),
    'memory manager',
    memoryStateChecksum,
  );
  await cpuFile.checkPolicy(wanted?.cpu ? 'static' : 'none');
  await memoryFile.checkPolicy(wanted?.memory ? 'Static' : 'None');
  if (!wanted || !config.kubelet) return nothingExclusive();
  const problem = exclusiveProblem(config.kubelet);
  if (problem !== undefined) throw new TopologyError(problem, { code: 'bad-options' });
  const machine = await readMachineTopology();
  checkNodes(machine, wanted);
  if (wanted.memory) checkReservedMemory(wanted.memory.reserved, machine, amounts);
  const cpuManager =
    wanted.cpu &&
    new CpuManager(machine, {
      ...wanted.cpu,
      reserved: reservedCpus(machine, wanted.cpu.reserved, wanted.cpu.reservedMilli),
    });
  const memoryManager = wanted.memory && new MemoryManager(machine, wanted.memory.reserved);
  const restored = [
    cpuManager && (await cpuFile.read(clock.now(), (state) => cpuManager.restore(state))),
    memoryManager && (await memoryFile.read(clock.now(), (state) => memoryManager.restore(state))),
  ];
  for (const read of restored)
    if (read?.kind === 'set-aside')
      log.error({ movedTo: read.movedTo, reason: read.reason }, 'a record of exclusive resources was set aside');
  const cpu = cpuManager && { manager: cpuManager, file: cpuFile };
  const memory = memoryManager && { manager: memoryManager, file: memoryFile };
  if (cpu) await cpu.file.write(cpu.manager.state());
  if (memory) await memory.file.write(memory.manager.state());
  const counts = new ExclusiveCounts({
    ...{ machine, cpu: cpuManager, topology: wanted.topology },
    wholeCores: wanted.cpu?.fullCores ?? false,
  });
  return {
    counts: counts.all,
    hasCpus: (pod) =>
      cpu !== undefined && allContainers(pod).some(({ container }) => exclusiveCpus(pod, container.name) > 0),
    cpus: cpu !== undefined,
    memory: memory !== undefined,
    told: {
      cpusOf: (uid, container) =>
        cpu?.manager.isExclusive(uid as PodUid, container) ? cpu.manager.cpusOf(uid as PodUid, container) : [],
      allocatableCpus: () => cpu?.manager.allocatable() ?? [],
      memoryOf: (uid, container) => (memory?.manager.blocksOf(uid as PodUid, container) ?? []).map(told),
      allocatableMemory: () => (memory?.manager.allocatable() ?? []).map(told),
    },
    grants: (users) => {
      const topology = new TopologyManager(
        {
          ...wanted.topology,
          nodes: machine.numaNodes.map(({ id }) => id),
          distance: (a, b) => machine.numaNodes[a]?.distances[b] ?? 10,
        },
        [...(cpuManager ? [cpuManager] : []), ...(memoryManager ? [memoryManager] : []), users.devices],
      );
      const grants = new ExclusiveGrants({
        ...{ clock, log, cpu, memory, topology, counts, devices: users.devices },
        ending: () => users.ending(),
        wake: (uid) => users.wake(uid),
        sharedChanged: () => users.wakeAll(),
      });
      return {
        grants,
        waitOf: (uid) => grants.waitOf(uid),
        present: () => grants.present(),
        placeOf: (pod, container) => grants.placeOf(pod, container),
        ...(cpu && { cpusOf: (pod: Pod, container: string) => grants.placeOf(pod, container).cpus }),
        affinity: (pod, container) => grants.affinity(pod, container),
      };
    },
  };
}

function nothingExclusive(): Exclusive {
  const counts = new ExclusiveCounts();
  return {
    counts: counts.all,
    hasCpus: () => false,
    cpus: false,
    memory: false,
    told: undefined,
    grants: ({ devices }) => ({
      grants: {
        allocate: (pod, running, signal) => {
          const isKnown = running.size > 0 || devices.waitOf(podUidOf(pod)) !== undefined;
          return counts.admission(isKnown, () => devices.allocate(pod, running, signal));
        },
        prepareClaims: (pod, signal) => devices.prepareClaims(pod, signal),
        preStart: (pod, container, signal) => devices.preStart(pod, container, signal),
        release: (uid, signal) => devices.release(uid, signal),
      },
      waitOf: (uid) => devices.waitOf(uid),
      present: () => Promise.resolve([]),
    }),
  };
}

const told = ({ type, size, numaAffinity }: MemoryBlock) => ({ type, bytes: size, numaNodes: numaAffinity });

function checkNodes({ cpus, numaNodes }: MachineTopology, wanted: ExclusiveConfig): void {
  const { policy, mostNodes } = wanted.topology;
  const sockets = new Set(cpus.map(({ socket }) => socket)).size;
  if (wanted.cpu?.bySocket && sockets > numaNodes.length)
    throw new TopologyError('align-by-socket is not compatible with a machine that has more sockets than NUMA nodes', {
      code: 'bad-options',
    });
  if (policy === 'none' || numaNodes.length <= mostNodes) return;
  throw new TopologyError(`unsupported on machines with more than ${mostNodes} NUMA Nodes (max-allowable-numa-nodes)`, {
    code: 'topology-affinity',
  });
}
