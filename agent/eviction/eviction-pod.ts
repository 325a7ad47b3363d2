import {
  allContainers,
  isCriticalPod,
  podQosClass,
  podRequests,
  podUidOf,
  quantityValue,
  type Pod,
  type PodUid,
  type QosClass,
  type ResourceList,
} from '../api/index.js';
import type { PodFilesystems, PodUsage, Taken } from '../stats/index.js';

export interface DiskAmount {
  readonly bytes: number;
  readonly inodes: number;
}

/** What ranking and messages need of one pod, in numbers. */
export interface EvictionPod {
  readonly uid: PodUid;
  readonly namespace: string;
  readonly name: string;
  readonly qos: QosClass;
  readonly priority: number;
  /** Never evicted. */
  readonly critical: boolean;
  readonly graceSeconds: number;
  readonly memoryRequest: number;
  readonly storageRequest: number;
  /** Undefined while nothing was measured: such a pod goes first, as nobody knows what it does. */
  readonly usage: PodAmounts | undefined;
  readonly containers: readonly EvictionContainer[];
}

export interface PodAmounts {
  readonly memory: number;
  readonly processes: number;
  readonly rootfs: DiskAmount;
  readonly logs: DiskAmount;
  /** emptyDir and other volumes that live and die with the pod. */
  readonly volumes: DiskAmount;
}

export interface EvictionContainer {
  readonly name: string;
  readonly memory: number;
  readonly memoryRequest: number;
  readonly rootfs: DiskAmount;
  readonly logs: DiskAmount;
  readonly storageRequest: number;
}

interface PodNumbers {
  readonly memoryRequest: number;
  readonly storageRequest: number;
  readonly critical: boolean;
  readonly qos: QosClass;
  readonly containers: ReadonlyMap<string, { memoryRequest: number; storageRequest: number }>;
}

const none: DiskAmount = { bytes: 0, inodes: 0 };

/** Builds the rankable form of pods; what follows from a spec alone is worked out once for it. */
export class EvictionPods {
  readonly #numbers = new WeakMap<Pod, PodNumbers>();

  of(pod: Pod, usage: PodUsage | undefined, filesystems: PodFilesystems): EvictionPod {
    const numbers = this.#numbersOf(pod);
    const { critical, qos, memoryRequest, storageRequest } = numbers;
    return {
      uid: podUidOf(pod),
      namespace: pod.metadata?.namespace ?? 'default',
      name: pod.metadata?.name ?? '',
      qos,
      priority: pod.spec?.priority ?? 0,
      critical,
      graceSeconds: pod.spec?.terminationGracePeriodSeconds ?? 30,
      memoryRequest,
      storageRequest,
      usage: usage && {
        memory: usage.usage.memory?.workingSet ?? 0,
        processes: usage.usage.processes ?? 0,
        rootfs: total(filesystems.rootfs.values()),
        logs: total(filesystems.logs.values()),
        volumes: localVolumes(pod, filesystems),
      },
      containers: [...numbers.containers].map(([name, requests]): EvictionContainer => ({
        name,
        ...requests,
        memory: usage?.containers.find(({ container }) => container.name === name)?.usage.memory?.workingSet ?? 0,
        rootfs: amount(filesystems.rootfs.get(name)),
        logs: amount(filesystems.logs.get(name)),
      })),
    };
  }

  #numbersOf(pod: Pod): PodNumbers {
    const known = this.#numbers.get(pod);
    if (known) return known;
    const value = (list: ResourceList, name: string): number => quantityValue(list[name] ?? '0');
    const requests = podRequests(pod);
    const numbers: PodNumbers = {
      memoryRequest: value(requests, 'memory'),
      storageRequest: value(requests, 'ephemeral-storage'),
      critical: isCriticalPod(pod),
      qos: podQosClass(pod),
      containers: new Map(
        allContainers(pod).map(({ container }) => {
          const own = container.resources?.requests ?? {};
          return [
            container.name,
            { memoryRequest: value(own, 'memory'), storageRequest: value(own, 'ephemeral-storage') },
          ];
        }),
      ),
    };
    this.#numbers.set(pod, numbers);
    return numbers;
  }
}

const amount = (taken: Taken | undefined): DiskAmount =>
  taken ? { bytes: taken.usedBytes, inodes: taken.inodesUsed } : none;

function total(parts: Iterable<{ readonly usedBytes: number; readonly inodesUsed: number }>): DiskAmount {
  let bytes = 0;
  let inodes = 0;
  for (const part of parts) {
    bytes += part.usedBytes;
    inodes += part.inodesUsed;
  }
  return { bytes, inodes };
}

/** Those on the node's disk: a claim's volume is elsewhere, one in memory counts as memory. */
function localVolumes(pod: Pod, { volumes }: PodFilesystems): DiskAmount {
  const inMemory = new Set(
    (pod.spec?.volumes ?? []).filter(({ emptyDir }) => (emptyDir?.medium ?? '') !== '').map(({ name }) => name),
  );
  return total(volumes.filter(({ claim, volume }) => claim === undefined && !inMemory.has(volume)));
}
