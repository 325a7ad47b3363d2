import {
  allContainers,
  hasPodLevelResources,
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
import { localVolumes } from './local-volumes.js';

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
  /** What the pod as a whole asks for of memory; undefined where only its containers do. */
  readonly podLevelMemoryRequest?: number | undefined;
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
}

const none: DiskAmount = { bytes: 0, inodes: 0 };

/** Builds the rankable form of pods; what follows from a spec alone is worked out once for it. */
export class EvictionPods {
  readonly #numbers = new WeakMap<Pod, PodNumbers>();

  of(pod: Pod, usage: PodUsage | undefined, filesystems: PodFilesystems): EvictionPod {
    return new MeasuredPod(pod, this.#numbersOf(pod), usage, filesystems);
  }

  #numbersOf(pod: Pod): PodNumbers {
    const known = this.#numbers.get(pod);
    if (known) return known;
    const requests = podRequests(pod);
    const numbers: PodNumbers = {
      memoryRequest: valueOf(requests, 'memory'),
      storageRequest: valueOf(requests, 'ephemeral-storage'),
      critical: isCriticalPod(pod),
    };
    this.#numbers.set(pod, numbers);
    return numbers;
  }
}

/** A decision looks at hundreds of pods: what only the words about one of them need is worked out when they are asked for. */
class MeasuredPod implements EvictionPod {
  readonly uid: PodUid;
  readonly namespace: string;
  readonly name: string;
  readonly priority: number;
  readonly critical: boolean;
  readonly graceSeconds: number;
  readonly memoryRequest: number;
  readonly storageRequest: number;
  readonly usage: PodAmounts | undefined;
  readonly #pod: Pod;
  readonly #measured: PodUsage | undefined;
  readonly #filesystems: PodFilesystems;

  constructor(pod: Pod, numbers: PodNumbers, measured: PodUsage | undefined, filesystems: PodFilesystems) {
    this.uid = podUidOf(pod);
    this.namespace = pod.metadata?.namespace ?? 'default';
    this.name = pod.metadata?.name ?? '';
    this.priority = pod.spec?.priority ?? 0;
    this.critical = numbers.critical;
    this.graceSeconds = pod.spec?.terminationGracePeriodSeconds ?? 30;
    this.memoryRequest = numbers.memoryRequest;
    this.storageRequest = numbers.storageRequest;
    this.usage = measured && {
      memory: measured.usage.memory?.workingSet ?? 0,
      processes: measured.usage.threads ?? 0,
      rootfs: total(filesystems.rootfs.values()),
      logs: total(filesystems.logs.values()),
      volumes: total(localVolumes(pod, filesystems)),
    };
    this.#pod = pod;
    this.#measured = measured;
    this.#filesystems = filesystems;
  }

  get qos(): QosClass {
    return podQosClass(this.#pod);
  }

  get podLevelMemoryRequest(): number | undefined {
    const request = hasPodLevelResources(this.#pod) ? this.#pod.spec?.resources?.requests?.['memory'] : undefined;
    return request === undefined ? undefined : quantityValue(request);
  }

  /** Without ephemeral ones: nobody can ask for anything for them, and they would be blamed for every byte. */
  get containers(): readonly EvictionContainer[] {
    const { rootfs, logs } = this.#filesystems;
    const accountable = allContainers(this.#pod).filter(({ kind }) => kind !== 'ephemeral');
    return accountable.map(({ container: { name, resources } }): EvictionContainer => {
      const requests = resources?.requests ?? {};
      const used = this.#measured?.containers.find(({ container }) => container.name === name)?.usage;
      return {
        name,
        memory: used?.memory?.workingSet ?? 0,
        memoryRequest: valueOf(requests, 'memory'),
        storageRequest: valueOf(requests, 'ephemeral-storage'),
        rootfs: amount(rootfs.get(name)),
        logs: amount(logs.get(name)),
      };
    });
  }
}

const valueOf = (list: ResourceList, name: string): number => quantityValue(list[name] ?? '0');

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
