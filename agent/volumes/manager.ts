import { KeyedLock } from '../../base/fifo-limit.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { DriverCall } from '../../csi/index.js';
import { podUidOf, type Container, type EphemeralContainer, type Pod, type PodUid, type Volume } from '../api/index.js';
import { callsForEnd, callsText } from './call-words.js';
import { planContainerMounts } from './container-mounts.js';
import { findPodVolumes } from './found-volumes.js';
import type { Mounter } from './mounts/mounter.js';
import { checkPropagation } from './mounts/share-folder.js';
import type { NodeStages } from './node-stages.js';
import { OngoingWork } from './ongoing-work.js';
import type { PluginVolume, PodMounter, PodMounts } from './pod-mounter.js';
import { tearDownPod } from './pod-teardown.js';
import { RefreshTimer } from './refresh-timer.js';
import { countedName, type CountOperation } from './storage-operations.js';
import { bindSubPaths } from './subpaths.js';
import { VolumeError, VolumeProblem } from './volume-error.js';
import { readFileInside } from './fs/read-file-inside.js';
import type { ContainerVolumes, VolumeManager, VolumeUsage } from './volume-manager.js';
import type { VolumePaths } from './volume-paths.js';
import type { PodVolume, VolumePlugin } from './volume-plugin.js';
import type { VolumeUsages } from './usage.js';
import { downwardKey, wantedVolumes } from './wanted-volumes.js';

export interface ManagerDeps {
  readonly paths: VolumePaths;
  readonly mounter: Mounter;
  readonly podMounter: PodMounter;
  readonly stages: NodeStages;
  readonly plugins: readonly VolumePlugin[];
  readonly usages: VolumeUsages;
  readonly count: CountOperation;
  readonly clock: Clock;
  readonly log: Logger;
  /** Pods of which the disk has something, at the start. */
  readonly present: Iterable<PodUid>;
  supportsRecursiveReadOnly(pod: Pod, signal: AbortSignal): Promise<boolean>;
  /** The pod reads no more objects and needs no more tokens. */
  forget(uid: PodUid): void;
  /** Deletes volumes that were made for claims that are over; `gone` says which pods are. Looks at these alone, where they are named. */
  reclaim(gone: (uid: string) => boolean, names: ReadonlySet<string> | undefined, signal: AbortSignal): Promise<void>;
  /** Calls of storage drivers that have not ended. */
  underWay(): readonly DriverCall[];
  /** How long the end of a pod may take before it says what it waits for. */
  readonly patienceMs: number;
  readonly lifetime: AbortSignal;
  /** No more changes are heard of. */
  close(): void;
}

interface PodRecord {
  readonly volumes: Map<string, PluginVolume>;
  readonly mounts: PodMounts['wanted'];
  /** The spec that was last found to be fulfilled. */
  pod: Pod | undefined;
  downward: string;
  /** Grows with each reason to look again; what was seen before the work began does not hide what came during it. */
  wanted: number;
  done: number;
}

/** Volumes of pods: desired against actual, one pod at a time, woken by what changes. */
export class PodVolumeManager implements VolumeManager, AsyncDisposable {
  readonly #deps: ManagerDeps;
  readonly #records = new Map<PodUid, PodRecord>();
  readonly #present: Set<PodUid>;
  readonly #locks = new KeyedLock();
  readonly #listeners = new Set<(uid: PodUid) => void>();
  readonly #refresh: RefreshTimer;
  readonly #unmounting: OngoingWork<void>;
  /** Something of earlier runs could not be undone: its driver was away. */
  #unswept = false;
  /** It is tried again by itself. */
  #sweeping = false;
  /** Before all sources have delivered, a claim that is not there may only be late. */
  #swept = false;

  constructor(deps: ManagerDeps) {
    this.#deps = deps;
    this.#present = new Set(deps.present);
    this.#refresh = new RefreshTimer(deps.clock, (uid) => this.lookAgain(uid));
    this.#unmounting = new OngoingWork(deps, deps.clock, deps.lifetime);
  }

  async mountPod(pod: Pod, signal: AbortSignal): Promise<void> {
    const uid = podUidOf(pod);
    await this.#locks.run(uid, () => this.#mount(uid, pod, signal), signal);
  }

  isMounted(pod: Pod): boolean {
    const record = this.#records.get(podUidOf(pod));
    if (!record || record.done !== record.wanted) return false;
    if (record.pod === pod) return true;
    const same =
      wantedVolumes(pod).every(({ volume }) => record.volumes.has(volume.name)) && downwardKey(pod) === record.downward;
    if (same) record.pod = pod;
    return same;
  }

  isPresent(uid: PodUid): boolean {
    return this.#present.has(uid);
  }

  presentPods(): readonly PodUid[] {
    return [...this.#present];
  }

  async unmountPod(uid: PodUid, signal: AbortSignal): Promise<void> {
    await this.#deps.podMounter.stop(uid);
    const outcome = await this.#unmounting.run(
      { uid, what: '', version: 0, later: () => this.#unmountedLater(uid) },
      (asked) => this.#locks.run(uid, () => this.#unmount(uid, asked), asked),
      signal,
    );
    if ('ended' in outcome) return;
    const names = this.#volumesOf(uid).map(({ name }) => name);
    const volume = names.length === 0 ? `of pod ${uid}` : names.join('", "');
    const told = { volume, plugin: 'agent', call: 'UnmountVolume.TearDown' };
    throw VolumeError.of(told, new VolumeProblem('under-way', this.#endText(uid, outcome.since)));
  }

  underWay(uid: PodUid): readonly string[] {
    const ending = this.#unmounting.list(uid).map(({ since }) => this.#endText(uid, since));
    return [...this.#deps.podMounter.underWay(uid), ...ending];
  }

  async forContainer(
    pod: Pod,
    container: Container | EphemeralContainer,
    env: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ): Promise<ContainerVolumes> {
    const { paths, mounter } = this.#deps;
    const uid = podUidOf(pod);
    const plan = planContainerMounts({
      pod,
      container,
      env,
      volumes: this.#records.get(uid)?.volumes ?? new Map(),
      recursiveReadOnly: asksRecursiveReadOnly(container) && (await this.#deps.supportsRecursiveReadOnly(pod, signal)),
      subPathTarget: (volume, name, index) => paths.subpath(uid, volume.specName, name, index),
    });
    if (plan.subPaths.length > 0) {
      this.#present.add(uid);
      await this.#locks
        .run(uid, () => bindSubPaths(plan.subPaths, mounter, signal), signal)
        .catch((err: unknown) => {
          signal.throwIfAborted();
          throw new VolumeProblem(
            err instanceof VolumeProblem ? err.failure.code : 'failed',
            `failed to prepare subPath for a volumeMount of container "${container.name}"`,
            err,
          );
        });
    }
    await checkPropagation(plan.mounts);
    return { mounts: plan.mounts, devices: plan.devices };
  }

  supplementalGroups(pod: Pod): readonly number[] {
    const { fsGroup } = pod.spec?.securityContext ?? {};
    const groups = [...(this.#records.get(podUidOf(pod))?.volumes.values() ?? [])].map(({ volume }) => groupOf(volume));
    return [...new Set([fsGroup, ...groups])].filter((group) => group !== undefined);
  }

  onChange(listener: (uid: PodUid) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async usage(uid: PodUid, signal: AbortSignal): Promise<readonly VolumeUsage[]> {
    return await this.#deps.usages.of(uid, [...(this.#records.get(uid)?.volumes.values() ?? [])], signal);
  }

  async readVolumeFile(pod: Pod, volume: string, path: string, signal: AbortSignal): Promise<string | undefined> {
    const root = this.#records.get(podUidOf(pod))?.volumes.get(volume)?.published.hostPath;
    return root === undefined ? undefined : await readFileInside(root, path, signal);
  }

  /** Something the pod's volumes depend on may have changed. */
  lookAgain(uid: PodUid): void {
    const record = this.#records.get(uid);
    if (!record) return;
    record.wanted++;
    this.wake(uid);
  }

  /** Something went on for the pod and has ended: it is worth another try. */
  wake(uid: PodUid): void {
    for (const listener of this.#listeners) listener(uid);
  }

  /** A driver came or changed: pods that wait for something are looked at, pods of earlier runs included. */
  wakeWaiting(): void {
    const waiting = [...this.#present].filter((uid) => {
      const record = this.#records.get(uid);
      return !record || record.done !== record.wanted;
    });
    for (const uid of waiting) this.wake(uid);
    if (!this.#unswept) return;
    this.#sweep(this.#deps.lifetime).catch((err: unknown) => {
      if (!this.#deps.lifetime.aborted) this.#deps.log.warn({ err: errorText(err) }, unsweptMessage);
    });
  }

  /** A claim is gone, perhaps, for which a volume was made. Where it cannot be deleted now, it is when a driver comes. */
  claimChanged(): void {
    if (!this.#swept) return;
    this.#deps
      .reclaim(() => false, undefined, this.#deps.lifetime)
      .catch((err: unknown) => {
        this.#unswept = true;
        void this.#sweepLater();
        if (!this.#deps.lifetime.aborted)
          this.#deps.log.warn({ err: errorText(err) }, 'the volume of a claim that is gone cannot be deleted yet');
      });
  }

  get mountedByPlugin(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { volumes } of this.#records.values())
      for (const { plugin, volume } of volumes.values()) addOne(counts, countedName(plugin.name, volume.origin));
    return counts;
  }

  get wantedByPlugin(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { mounts } of this.#records.values()) for (const { plugin } of mounts.values()) addOne(counts, plugin);
    return counts;
  }

  get volumesInUse(): readonly string[] {
    return this.#deps.stages.volumesInUse;
  }

  async removeUnused(signal: AbortSignal): Promise<void> {
    try {
      await this.#sweep(signal);
    } catch (err) {
      signal.throwIfAborted();
      void this.#sweepLater();
      throw err;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#deps.close();
    this.#refresh[Symbol.dispose]();
    this.#listeners.clear();
    await this.#deps.podMounter[Symbol.asyncDispose]();
    await this.#unmounting[Symbol.asyncDispose]();
  }

  #volumesOf(uid: PodUid): readonly PodVolume[] {
    return [...(this.#records.get(uid)?.volumes.values() ?? [])].map(({ volume }) => volume);
  }

  #endText(uid: PodUid, since: number): string {
    return callsText(callsForEnd(uid, this.#volumesOf(uid), this.#deps.underWay()), since);
  }

  #unmountedLater(uid: PodUid): void {
    // Nobody asks for the outcome any more; a failure is told to who tries again.
    if (!this.#present.has(uid)) void this.#unmounting.stop(uid);
    this.wake(uid);
  }

  async #mount(uid: PodUid, pod: Pod, signal: AbortSignal): Promise<void> {
    const fresh = { volumes: new Map(), mounts: new Map(), pod: undefined, downward: '', wanted: 1, done: 0 };
    const record: PodRecord = this.#records.get(uid) ?? fresh;
    this.#records.set(uid, record);
    if (wantedVolumes(pod).some(({ volume }) => leavesTraces(volume))) this.#present.add(uid);
    const { wanted } = record;
    record.done = wanted - 1;
    const downward = downwardKey(pod);
    const errors = await this.#deps.podMounter.mountAll(
      pod,
      { mounted: record.volumes, wanted: record.mounts, version: wanted },
      signal,
    );
    signal.throwIfAborted();
    this.#refresh.set(uid, nextRefresh(record.volumes.values()));
    const error = VolumeError.join(errors);
    if (error) throw error;
    record.pod = pod;
    record.downward = downward;
    record.done = wanted;
  }

  async #unmount(uid: PodUid, signal: AbortSignal): Promise<void> {
    const record = this.#records.get(uid);
    if (record) record.done = record.wanted - 1;
    this.#refresh.set(uid, undefined);
    this.#deps.forget(uid);
    const known = [...(record?.volumes.values() ?? [])];
    const names = new Set(known.map(({ volume }) => volume.specName));
    if (this.#present.has(uid)) {
      const { paths, mounter, plugins, stages } = this.#deps;
      for (const { specName } of await findPodVolumes(paths, uid)) names.add(specName);
      const pluginOfFolder = (name: string): VolumePlugin | undefined =>
        plugins.find((plugin) => plugin.name === name || plugin.ownsFolder?.(name));
      const countedAs = (specName: string): string | undefined => {
        const one = known.find(({ volume }) => volume.specName === specName);
        return one && countedName(one.plugin.name, one.volume.origin);
      };
      await tearDownPod(uid, { paths, mounter, pluginOfFolder, countedAs, count: this.#deps.count }, signal);
      await stages.releasePod(uid, signal);
    }
    this.#present.delete(uid);
    this.#records.delete(uid);
    this.#deps.usages.forget(uid);
    // Whatever else waits to be deleted does not hold up this pod.
    if (this.#swept) await this.#deps.reclaim((owner) => owner === uid, names, signal);
  }

  /** What could not be undone is tried again until it is: no pod comes for it any more. Never rejects. */
  async #sweepLater(): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    const { clock, lifetime, log } = this.#deps;
    try {
      for (let retryInMs = firstSweepMs; this.#unswept; retryInMs = Math.min(2 * retryInMs, longestSweepMs)) {
        await clock.sleep(retryInMs, lifetime);
        if (!this.#unswept) return;
        await this.#sweep(lifetime).catch((err: unknown) => {
          lifetime.throwIfAborted();
          log.warn({ err: errorText(err) }, unsweptMessage);
        });
      }
    } catch (err) {
      if (!lifetime.aborted) log.error({ err: errorText(err) }, unsweptMessage);
    } finally {
      this.#sweeping = false;
    }
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    this.#swept = true;
    this.#unswept = true;
    await this.#deps.stages.releaseUnused(signal);
    await this.#deps.reclaim((uid) => !this.#present.has(uid as PodUid), undefined, signal);
    this.#unswept = false;
  }
}

const addOne = (counts: Map<string, number>, key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1);

/** As the kubelet does it. */
const firstSweepMs = 500;
const longestSweepMs = 122_000;

export const unsweptMessage = 'volumes that no pod uses cannot be detached yet';

/** Most containers do not, and for them the runtime is not asked. */
const asksRecursiveReadOnly = ({ volumeMounts = [] }: Pick<Container, 'volumeMounts'>): boolean =>
  volumeMounts.some(({ recursiveReadOnly }) => recursiveReadOnly === 'Enabled' || recursiveReadOnly === 'IfPossible');

/** Only a path of the host and an image leave nothing below the pod's folder. */
const leavesTraces = (volume: Volume): boolean => volume.hostPath === undefined && volume.image === undefined;

/** The group a PersistentVolume's annotation grants. */
function groupOf({ origin }: PodVolume): number | undefined {
  if (origin.kind !== 'persistent') return undefined;
  const text = origin.persistentVolume.metadata?.annotations?.['pv.beta.kubernetes.io/gid'];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

function nextRefresh(volumes: Iterable<PluginVolume>): number | undefined {
  let next: number | undefined;
  for (const { published, grown } of volumes) {
    for (const at of [published.refreshAt, grown.retryAt]) if (at !== undefined) next = Math.min(next ?? at, at);
  }
  return next;
}
