import { lstatSync, mkdirSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf } from '../../base/errors.js';
import type { DriverCall } from '../../csi/index.js';
import { podUidOf, type PersistentVolume, type Pod, type PodUid } from '../api/index.js';
import { callsFor, callsText } from './call-words.js';
import type { MountedVolume } from './container-mounts.js';
import type { MountRequest, Mounter } from './mounts/mounter.js';
import type { NodeStages } from './node-stages.js';
import { OngoingWork } from './ongoing-work.js';
import { counted, countedName } from './storage-operations.js';
import { VolumeError, VolumeProblem, type VolumeFailure } from './volume-error.js';
import type { VolumePaths } from './volume-paths.js';
import { growVolume, notGrown, type GrowDeps, type Grown } from './grow-volume.js';
import type { NodeStage, PodVolume, PublishedVolume, VolumeOrigin, VolumePlugin } from './volume-plugin.js';
import { podVolume, wantedVolumes, type WantedVolume } from './wanted-volumes.js';

export interface PodMounterDeps extends GrowDeps {
  readonly paths: VolumePaths;
  readonly mounter: Mounter;
  readonly stages: NodeStages;
  readonly plugins: readonly VolumePlugin[];
  presentPods(): readonly PodUid[];
  readonly seLinux: boolean;
  /** Finds what stands behind a claim. */
  origin(pod: Pod, wanted: WantedVolume, signal: AbortSignal): Promise<VolumeOrigin>;
  /** The volume that is being made or found for a claim of the pod now, where its name is known. */
  nameInBinding(uid: PodUid, volume: string): string | undefined;
  /** A warning on the PersistentVolume itself. */
  volumeEvent(volume: PersistentVolume, reason: string, message: string): void;
  /** Calls of storage drivers that have not ended. */
  underWay(): readonly DriverCall[];
  /** What a volume of the pod waited for has ended. */
  ended(uid: PodUid): void;
  /** How long a volume may take before its pod says what it waits for and the others of the pod go on. */
  readonly patienceMs: number;
  readonly lifetime: AbortSignal;
}

export interface PluginVolume extends MountedVolume {
  readonly plugin: VolumePlugin;
  readonly staged: NodeStage;
  readonly grown: Grown;
}

/** A volume that a pod is to have: what makes it, in the kubelet's word, and since when it is wanted (monotonic, ms). */
export interface WantedMount {
  readonly plugin: string;
  readonly since: number;
}

/** What is known of a pod's volumes, by the pod's words for them. */
export interface PodMounts {
  readonly mounted: Map<string, PluginVolume>;
  /** All of which it is known what makes them. */
  readonly wanted: Map<string, WantedMount>;
  /** Grows with each reason to look at the volumes anew. */
  readonly version: number;
}

interface Resolved {
  readonly volume: PodVolume;
  readonly plugin: VolumePlugin;
  readonly path: string;
  readonly devicePath: string;
}

interface Foldered extends Resolved {
  readonly memory: MountRequest | undefined;
  /** The folder was not there: whatever was published in it before is gone. */
  readonly isNew: boolean;
}

/** Makes the volumes of a pod. They do not wait for each other, and what fails or hangs does not keep the others. */
export class PodMounter implements AsyncDisposable {
  readonly #deps: PodMounterDeps;
  /** Who has a ReadWriteOncePod volume. */
  readonly #holders = new Map<string, PodUid>();
  readonly #resolving: OngoingWork<Resolved>;
  readonly #publishing: OngoingWork<PluginVolume>;
  /** What is being published, and what that is at in the kubelet's words; by the volume of the pod. */
  readonly #at = new Map<string, { readonly one: Resolved; readonly call: string }>();

  constructor(deps: PodMounterDeps) {
    this.#deps = deps;
    this.#resolving = new OngoingWork(deps, deps.clock, deps.lifetime);
    this.#publishing = new OngoingWork(deps, deps.clock, deps.lifetime);
  }

  /** What the pod's volumes wait for now, a sentence each. */
  underWay(uid: PodUid): string[] {
    const resolving = this.#resolving
      .list(uid)
      .map(({ what, since }) => `volume "${what}": ${this.#resolveText(uid, what, since)}`);
    const publishing = this.#publishing.list(uid).map(({ what, since }) => {
      const at = this.#at.get(`${uid} ${what}`);
      return `volume "${what}": ${at ? `${at.call}: ` : ''}${this.#publishText(at?.one.volume, since)}`;
    });
    return [...resolving, ...publishing];
  }

  /** Nothing is made for the pod later than this. */
  async stop(uid: PodUid): Promise<void> {
    await Promise.all([this.#resolving.stop(uid), this.#publishing.stop(uid)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#resolving[Symbol.asyncDispose](), this.#publishing[Symbol.asyncDispose]()]);
  }

  /** Puts what succeeded into `mounted` and returns what failed. */
  async mountAll(pod: Pod, mounts: PodMounts, signal: AbortSignal): Promise<VolumeError[]> {
    const { mounted, wanted } = mounts;
    const errors: VolumeError[] = [];
    const began = performance.now();
    const resolved = await eachOf(
      wantedVolumes(pod),
      errors,
      ({ volume }) => unmatched(volume.name),
      (each) => this.#resolvePatiently(pod, each, mounts, signal),
    );
    for (const { volume, plugin } of resolved) {
      const { since = began } = wanted.get(volume.name) ?? {};
      wanted.set(volume.name, { plugin: countedName(plugin.name, volume.origin), since });
    }
    const foldered = await eachOf(resolved, errors, setUp, (one) =>
      this.#makeFolder(one, mounted.has(one.volume.name)),
    );
    const ready = await this.#mountMemory(foldered, errors, signal);
    const made = await eachOf(ready, errors, setUp, (one) => this.#publishPatiently(one, mounts, signal));
    for (const one of made) {
      const { name, block, origin } = one.volume;
      const since = wanted.get(name)?.since ?? began;
      if (!block && !mounted.has(name))
        this.#deps.count(
          'overall_volume_mount',
          countedName(one.plugin.name, origin),
          (performance.now() - since) / 1000,
          false,
        );
      mounted.set(name, one);
    }
    return errors;
  }

  async #resolvePatiently(pod: Pod, wanted: WantedVolume, mounts: PodMounts, signal: AbortSignal): Promise<Resolved> {
    const uid = podUidOf(pod);
    const { name } = wanted.volume;
    const outcome = await this.#resolving.run(
      { uid, what: name, version: mounts.version, later: () => this.#deps.ended(uid) },
      (asked) => this.#resolve(pod, wanted, mounts.mounted.get(name), asked),
      signal,
    );
    if ('ended' in outcome)
      return outcome.current ? outcome.ended : await this.#resolvePatiently(pod, wanted, mounts, signal);
    throw new VolumeProblem('under-way', this.#resolveText(uid, name, outcome.since));
  }

  #resolveText(uid: PodUid, volume: string, since: number): string {
    const bound = this.#deps.nameInBinding(uid, volume);
    const calls = this.#deps.underWay().filter(({ subject }) => bound !== undefined && subject.object === bound);
    return callsText(calls, since);
  }

  #publishText(volume: PodVolume | undefined, since: number): string {
    return callsText(volume ? callsFor(volume, this.#deps.underWay()) : [], since);
  }

  async #resolve(
    pod: Pod,
    wanted: WantedVolume,
    mounted: PluginVolume | undefined,
    signal: AbortSignal,
  ): Promise<Resolved> {
    const origin = await this.#deps.origin(pod, wanted, signal).catch((err: unknown) => {
      signal.throwIfAborted();
      // A claim that went away does not stop a pod that has its volume.
      if (mounted) return mounted.volume.origin;
      throw err;
    });
    const plugin = this.#deps.plugins.find((candidate) => candidate.supports(origin));
    if (!plugin) throw new VolumeProblem('unsupported', 'no volume plugin matched');
    const volume = podVolume(pod, wanted, origin);
    if (volume.block && !plugin.handsOutDevices) throw noDevices(volume, plugin);
    const folder = plugin.folderName?.(volume) ?? plugin.name;
    return {
      volume,
      plugin,
      path: this.#deps.paths.volume(volume.uid, folder, volume.specName),
      devicePath: this.#deps.paths.device(volume.uid, folder, volume.specName),
    };
  }

  async #makeFolder(resolved: Resolved, isMounted: boolean): Promise<Foldered> {
    const { plugin, volume, path, devicePath } = resolved;
    // What is mounted is not looked at again: its server may be away, and who looks would hang.
    if (!plugin.hasFolder || (isMounted && !plugin.deletesContent))
      return { ...resolved, memory: undefined, isNew: false };
    if (isExclusive(volume)) await this.#checkExclusive(resolved);
    // The agent's own folders in its own tree: the kernel answers from memory.
    const isNew = makeFolder(volume.block ? dirname(devicePath) : path);
    const memory = plugin.memory?.(volume);
    if (!memory || isOwnFileSystem(path)) return { ...resolved, memory: undefined, isNew };
    return { ...resolved, memory: { source: memory.fsType, target: path, ...memory }, isNew: true };
  }

  /** All of the pod in one child. Returns those that have what they need. */
  async #mountMemory(volumes: readonly Foldered[], errors: VolumeError[], signal: AbortSignal): Promise<Foldered[]> {
    try {
      await this.#deps.mounter.mount(
        volumes.flatMap(({ memory }) => memory ?? []),
        signal,
      );
      return [...volumes];
    } catch (err) {
      signal.throwIfAborted();
      const there = volumes.map(({ memory, path }) => !memory || isOwnFileSystem(path));
      for (const [index, one] of volumes.entries()) if (!there[index]) errors.push(VolumeError.of(setUp(one), err));
      return volumes.filter((_, index) => there[index]);
    }
  }

  async #publishPatiently(one: Foldered, mounts: PodMounts, signal: AbortSignal): Promise<PluginVolume> {
    const { plugin, volume } = one;
    const { uid, name } = volume;
    const { mounted, version } = mounts;
    // Whoever gets an image tells how far it is, and a path of the host keeps nobody waiting.
    if (!plugin.hasFolder) return await this.#publishCounted(one, mounted, signal);
    const outcome = await this.#publishing.run(
      { uid, what: name, version, later: () => this.#deps.ended(uid) },
      (asked) => this.#publishCounted(one, mounted, asked),
      signal,
    );
    if ('ended' in outcome) {
      if (outcome.current) return outcome.ended;
      mounted.set(name, outcome.ended);
      return await this.#publishPatiently({ ...one, isNew: false }, mounts, signal);
    }
    const told = setUp(one);
    const { call } = this.#at.get(`${uid} ${name}`) ?? told;
    throw VolumeError.of({ ...told, call }, new VolumeProblem('under-way', this.#publishText(volume, outcome.since)));
  }

  /** What is looked at again is not mounted again. */
  async #publishCounted(one: Foldered, mounted: Map<string, PluginVolume>, signal: AbortSignal): Promise<PluginVolume> {
    const { plugin, volume } = one;
    const key = `${volume.uid} ${volume.name}`;
    const tell = (call: string): void => void this.#at.set(key, { one, call });
    tell(setUp(one).call);
    const work = (): Promise<PluginVolume> =>
      this.#publish(one, mounted, tell, signal).finally(() => this.#at.delete(key));
    if (mounted.has(volume.name)) return await work();
    const name = countedName(plugin.name, volume.origin);
    try {
      return await counted(this.#deps.count, volume.block ? 'map_volume' : 'volume_mount', name, work);
    } catch (err) {
      this.#tellOfFileSystem(volume, err);
      throw err;
    }
  }

  /** Whoever made the PersistentVolume can mend it, and whoever has the pod cannot. */
  #tellOfFileSystem({ origin, specName }: PodVolume, err: unknown): void {
    const problem = err instanceof VolumeError ? err.cause : err;
    const isWrong = problem instanceof VolumeProblem && problem.failure.code === 'wrong-file-system';
    if (!isWrong || origin.kind !== 'persistent') return;
    const words = `MountVolume failed for volume "${specName}" ${problem.message}`;
    this.#deps.volumeEvent(origin.persistentVolume, 'FailedMountOnFilesystemMismatch', words);
  }

  async #publish(
    one: Foldered,
    mounted: Map<string, PluginVolume>,
    tell: (call: string) => void,
    signal: AbortSignal,
  ): Promise<PluginVolume> {
    const { plugin, volume, path, devicePath, isNew } = one;
    const last = mounted.get(volume.name);
    const staged = last?.staged ?? (await this.#deps.stages.acquire(plugin, volume, tell, signal));
    tell(setUp(one).call);
    const before = isNew ? undefined : last?.published;
    const request = { volume, path, devicePath, staged, before, isNew };
    // Until it succeeds nobody knows what is written there.
    if (last) mounted.set(volume.name, { ...last, published: { ...last.published, content: undefined } });
    const published = await plugin.publish(request, signal);
    if (volume.block && !last) {
      const words = `MapVolume.MapPodDevice succeeded for volume "${volume.specName}" volumeMapPath "${dirname(devicePath)}"`;
      this.#deps.event(volume.pod, 'Normal', 'SuccessfulMountVolume', words);
    }
    const grown = await growVolume(request, plugin, last?.grown ?? notGrown, this.#deps, signal);
    const relabel = this.#deps.seLinux && isRelabelled(plugin, published);
    return { volume, plugin, staged, published, grown, relabel };
  }

  /** A ReadWriteOncePod volume belongs to the pod that came first, by the disk too: one that ran before a restart counts. */
  async #checkExclusive({ volume, path, devicePath }: Resolved): Promise<void> {
    const { uid, specName } = volume;
    const others = this.#deps.presentPods().filter((other) => other !== uid);
    const holder = this.#holders.get(specName);
    if (holder !== undefined && others.includes(holder)) throw inUse();
    this.#holders.set(specName, uid);
    const { paths } = this.#deps;
    for (const other of others) {
      for (const mine of [path, devicePath]) {
        if (!(await lstat(mine.replace(paths.pod(uid), paths.pod(other))).catch(() => undefined))) continue;
        this.#holders.set(specName, other);
        throw inUse();
      }
    }
  }
}

/**
 * True when it was not there. What is there is not looked at: an earlier run may have mounted a file system on it whose server is away now, and
 * the whole agent would hang (a `mkdir` that makes parents looks).
 */
function makeFolder(path: string): boolean {
  try {
    mkdirSync(path, { mode: folderMode });
    return true;
  } catch (err) {
    if (errnoOf(err) === 'EEXIST') return false;
    if (errnoOf(err) !== 'ENOENT') throw err;
  }
  mkdirSync(dirname(path), { recursive: true, mode: folderMode });
  mkdirSync(path, { mode: folderMode });
  return true;
}

const folderMode = 0o750;

/** As in the kubelet: the pod's own content, and volumes that the pod may write to. */
const isRelabelled = (plugin: VolumePlugin, published: PublishedVolume): boolean =>
  !plugin.keepsLabels && !published.keepsLabels && (plugin.deletesContent || !published.readOnly);

const inUse = (): VolumeProblem =>
  new VolumeProblem('unavailable', 'volume uses the ReadWriteOncePod access mode and is already in use by another pod');

const isExclusive = ({ origin }: PodVolume): boolean =>
  origin.kind === 'persistent' && (origin.claim.spec?.accessModes?.includes('ReadWriteOncePod') ?? false);

type Told = Omit<VolumeFailure, 'code'>;

const setUp = ({ volume, plugin }: Resolved): Told => ({
  volume: volume.name,
  plugin: plugin.name,
  call: volume.block ? 'MapVolume.SetUpDevice' : 'MountVolume.SetUp',
});

/** As in the kubelet, where only plugins of real disks have a mapper: FlexVolume drivers and NFS have none. */
const noDevices = ({ name }: PodVolume, plugin: VolumePlugin): VolumeError =>
  VolumeError.of(
    { volume: name, plugin: plugin.name, call: 'MapVolume.FindMapperPluginBySpec' },
    new VolumeProblem('unsupported', 'volumes of this kind cannot be handed out as block devices (volumeMode Block)'),
  );

const unmatched = (volume: string): Told => ({ volume, plugin: 'agent', call: 'MountVolume.FindPluginBySpec' });

/** Results of those that succeed; the others say what they were about in `errors`. */
async function eachOf<T, R>(
  items: readonly T[],
  errors: VolumeError[],
  told: (item: T) => Told,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results = await Promise.allSettled(items.map(work));
  return results.flatMap((result, index) => {
    if (result.status === 'fulfilled') return [result.value];
    errors.push(VolumeError.of(told(items[index] as T), result.reason));
    return [];
  });
}

/** True for the root of a tmpfs or hugetlbfs, which never share a device with the folder above. */
const isOwnFileSystem = (path: string): boolean => lstatSync(path).dev !== lstatSync(dirname(path)).dev;
