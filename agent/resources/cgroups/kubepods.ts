import { KeyedLock } from '../../../base/fifo-limit.js';
import {
  podQosClass,
  podRequests,
  podUidOf,
  quantityMilliValue,
  type Pod,
  type PodUid,
  type QosClass,
} from '../../api/index.js';
import { minShares, sharesOf } from '../cpu-shares.js';
import type { PodCgroups, PodLimitChanges } from '../pod-cgroups.js';
import { limitChanges } from '../resize/plan-resize.js';
import type { CgroupFiles } from './cgroup-files.js';
import type { CgroupLimits } from './cgroup-limits.js';
import { expandSlice, podCgroup, qosClasses, sliceOfPath, type CgroupNames } from './cgroup-names.js';
import { asKept } from './kept-limits.js';
import { podCgroupLimits, type PodLimitOptions } from './pod-limits.js';
import type { SystemdUnits } from './systemd-units.js';

export interface KubepodsDeps {
  readonly files: CgroupFiles;
  readonly names: CgroupNames;
  /** Only with the systemd driver. */
  readonly units: SystemdUnits | undefined;
}

/** `kubepods`, the QoS tiers below it and the pods' cgroups (facts 4.1), for either driver and either version. */
export class Kubepods implements PodCgroups {
  readonly #options: PodLimitOptions;
  readonly #deps: KubepodsDeps;
  /** CPU requests of the Burstable pods, whose sum is the weight of their tier. */
  readonly #burstableMilli = new Map<PodUid, number>();
  readonly #locks = new KeyedLock();
  #writtenBurstableShares = -1;

  constructor(options: PodLimitOptions, deps: KubepodsDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Makes `kubepods` and the tiers. `limits` is what all pods together may use. */
  async open(limits: CgroupLimits, signal: AbortSignal): Promise<void> {
    const { names, files, units } = this.#deps;
    for (const qos of qosClasses) {
      const own = qos === 'Guaranteed' ? limits : qos === 'BestEffort' ? { cpuShares: minShares } : {};
      if (units) await units.startSlice(names.tier(qos), own, signal);
      files.open(names.tier(qos));
      await this.#limit(names.tier(qos), own, signal);
    }
    await this.#weighBurstable(signal);
  }

  /** Changes what all pods together may use. */
  async limitAll(limits: CgroupLimits, signal: AbortSignal): Promise<void> {
    await this.#limit(this.root, limits, signal);
  }

  /** Limits a cgroup of the machine's own, which must be there. False when it is not. */
  async limitOther(name: string, limits: CgroupLimits, signal: AbortSignal): Promise<boolean> {
    const { files, units } = this.#deps;
    const cgroup = units ? expandSlice(sliceOfPath(name)) : `/${name.replace(/^\/+/, '')}`;
    if (!files.exists(cgroup)) return false;
    await this.#limit(cgroup, limits, signal);
    return true;
  }

  /** `kubepods` itself. */
  get root(): string {
    return this.#deps.names.tier('Guaranteed');
  }

  parentOf(pod: Pod): string {
    return podCgroup(this.#deps.names, pod);
  }

  exists(pod: Pod): boolean {
    return this.#deps.files.exists(this.parentOf(pod));
  }

  async ensure(pod: Pod, signal: AbortSignal): Promise<void> {
    const { files, units } = this.#deps;
    const cgroup = this.parentOf(pod);
    const limits = podCgroupLimits(pod, this.#options);
    if (units) {
      if (!files.exists(cgroup)) await units.startSlice(cgroup, limits, signal);
      else await units.setLimits(cgroup, limits, signal);
    }
    files.make(cgroup);
    files.limit(cgroup, units ? { hugepages: limits.hugepages } : limits);
    await this.#noteBurstable(pod, signal);
  }

  async adopt(pod: Pod, signal: AbortSignal): Promise<void> {
    await this.#noteBurstable(pod, signal);
  }

  limitsOf(pod: Pod): CgroupLimits {
    return podCgroupLimits(pod, this.#options);
  }

  changes(pod: Pod): PodLimitChanges {
    const { files, units } = this.#deps;
    const before = files.limits(this.parentOf(pod));
    const after = this.limitsOf(pod);
    const kept = asKept(after, { v2: files.hierarchy.version === 2, systemd: units !== undefined });
    // Where the kernel would keep the same, there is nothing to write; what is written is the exact amount.
    const { first, last } = limitChanges(before, {
      ...after,
      ...(kept.cpuShares === before.cpuShares ? { cpuShares: before.cpuShares } : {}),
      ...(kept.cpuQuotaUs === before.cpuQuotaUs ? { cpuQuotaUs: before.cpuQuotaUs } : {}),
      ...(kept.memoryBytes === before.memoryBytes ? { memoryBytes: before.memoryBytes } : {}),
    });
    return { first, last, memory: { before: before.memoryBytes, after: after.memoryBytes } };
  }

  memoryUse(pod: Pod): number | undefined {
    return this.#deps.files.memoryUse(this.parentOf(pod));
  }

  async setLimits(pod: Pod, limits: CgroupLimits, signal: AbortSignal): Promise<void> {
    await this.#limit(this.parentOf(pod), limits, signal);
    await this.#noteBurstable(pod, signal);
  }

  async remove(uid: PodUid, signal: AbortSignal): Promise<void> {
    const { names, files, units } = this.#deps;
    for (const qos of qosClasses) {
      const cgroup = names.pod(uid, qos);
      if (units && files.exists(cgroup)) await units.stopSlice(cgroup, signal);
      await files.remove(cgroup, signal);
    }
    if (this.#burstableMilli.delete(uid)) await this.#weighBurstable(signal);
  }

  present(_signal: AbortSignal): Promise<readonly PodUid[]> {
    const { names, files } = this.#deps;
    const uids = qosClasses.flatMap((qos: QosClass) =>
      [...files.children(names.tier(qos))].flatMap((folder) => names.uidOf(folder) ?? []),
    );
    return Promise.resolve([...new Set(uids)]);
  }

  async #limit(cgroup: string, limits: CgroupLimits, signal: AbortSignal): Promise<void> {
    const { files, units } = this.#deps;
    if (units) await units.setLimits(cgroup, limits, signal);
    files.limit(cgroup, units ? { hugepages: limits.hugepages } : limits);
  }

  async #noteBurstable(pod: Pod, signal: AbortSignal): Promise<void> {
    if (podQosClass(pod) !== 'Burstable') return;
    this.#burstableMilli.set(podUidOf(pod), quantityMilliValue(podRequests(pod)['cpu'] ?? '0'));
    await this.#weighBurstable(signal);
  }

  /** One at a time: the last sum must be the one that stays. */
  async #weighBurstable(signal: AbortSignal): Promise<void> {
    await this.#locks.run(
      'burstable',
      async () => {
        let total = 0;
        for (const milli of this.#burstableMilli.values()) total += milli;
        const cpuShares = sharesOf(total);
        if (cpuShares === this.#writtenBurstableShares) return;
        await this.#limit(this.#deps.names.tier('Burstable'), { cpuShares }, signal);
        this.#writtenBurstableShares = cpuShares;
      },
      signal,
    );
  }
}
