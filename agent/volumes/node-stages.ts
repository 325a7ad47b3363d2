import { KeyedLock } from '../../base/fifo-limit.js';
import type { PodUid } from '../api/index.js';
import { counted, countedName, type CountOperation, type StorageOperation } from './storage-operations.js';
import { attachVolume, VolumeError } from './volume-error.js';
import type { FoundStage, NodeStage, PodVolume, VolumePlugin } from './volume-plugin.js';

interface Entry {
  readonly plugin: VolumePlugin;
  readonly key: string;
  stage: NodeStage;
  /** Attach and stage succeeded since the agent started. Until then an entry only says that something may be there. */
  confirmed: boolean;
  /** In the kubelet's word; of what an earlier run left only the plugin is known. */
  countedAs: string;
  /** That it is attached was told to a pod, by this run or an earlier one. */
  told: boolean;
  readonly users: Set<PodUid>;
}

/** Hears of each volume that was attached by a call of this agent, for which pod. */
export type TellAttached = (volume: PodVolume) => void;

/** Says on the Node object which volumes this node uses, before they are: until then a controller may detach them. */
export type ReportVolumesInUse = (names: readonly string[], signal: AbortSignal) => Promise<void>;

/** What is attached and staged once for the node: made for the first pod that needs it, undone after the last. */
export class NodeStages {
  readonly #entries = new Map<string, Entry>();
  readonly #locks = new KeyedLock();
  readonly #report: ReportVolumesInUse | undefined;

  readonly #count: CountOperation;
  readonly #attached: TellAttached;

  constructor(count: CountOperation, attached: TellAttached, report?: ReportVolumesInUse) {
    this.#count = count;
    this.#attached = attached;
    this.#report = report;
  }

  /** What the disk says is there. */
  adopt(plugin: VolumePlugin, { key, stage }: FoundStage): void {
    this.#entries.set(idOf(plugin, key), {
      plugin,
      key,
      stage,
      confirmed: false,
      countedAs: plugin.name,
      told: true,
      users: new Set(),
    });
  }

  addUser(plugin: VolumePlugin, key: string, uid: PodUid): void {
    this.#entries.get(idOf(plugin, key))?.users.add(uid);
  }

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /** `tell` hears what it is at, in the kubelet's words. */
  async acquire(
    plugin: VolumePlugin,
    volume: PodVolume,
    tell: (call: string) => void,
    signal: AbortSignal,
  ): Promise<NodeStage> {
    const key = await plugin.stageKey?.(volume, signal);
    if (key === undefined) return {};
    // Another pod may be at it.
    tell(mountDevice);
    return await this.#locks.run(
      idOf(plugin, key),
      async () => {
        // Before the deed: a call that fails half way may have left something that the pod's end must undo.
        const entry = this.#enter(plugin, key);
        entry.users.add(volume.uid);
        entry.countedAs = countedName(plugin.name, volume.origin);
        if (plugin.uniqueName) await this.#report?.(this.volumesInUse, signal);
        const attached = (): void => {
          if (!entry.told) this.#attached(volume);
          entry.told = true;
        };
        if (!entry.confirmed) entry.stage = await make(plugin, volume, { count: this.#count, tell, attached }, signal);
        entry.confirmed = true;
        return entry.stage;
      },
      signal,
    );
  }

  /** Undoes what no other pod uses. Everything of the pod must be unpublished. */
  async releasePod(uid: PodUid, signal: AbortSignal): Promise<void> {
    await this.#releaseWhere((entry) => entry.users.has(uid), uid, signal);
  }

  /** Undoes what an earlier run left without a pod. */
  async releaseUnused(signal: AbortSignal): Promise<void> {
    await this.#releaseWhere((entry) => entry.users.size === 0, undefined, signal);
  }

  /** The Node's `volumesInUse`. */
  get volumesInUse(): readonly string[] {
    const names = [...this.#entries.values()].map(({ plugin, key }) => plugin.uniqueName?.(key));
    return names.filter((name) => name !== undefined).sort();
  }

  async #releaseWhere(which: (entry: Entry) => boolean, uid: PodUid | undefined, signal: AbortSignal): Promise<void> {
    const errors: VolumeError[] = [];
    for (const [id, entry] of this.#entries) {
      if (!which(entry)) continue;
      try {
        await this.#locks.run(id, () => this.#release(id, entry, uid, signal), signal);
      } catch (err) {
        signal.throwIfAborted();
        errors.push(VolumeError.of({ volume: entry.key, plugin: entry.plugin.name, call: 'UnmountDevice' }, err));
      }
    }
    const error = VolumeError.join(errors);
    if (error) throw error;
  }

  async #release(id: string, entry: Entry, uid: PodUid | undefined, signal: AbortSignal): Promise<void> {
    const others = [...entry.users].filter((user) => user !== uid);
    if (others.length === 0) {
      entry.confirmed = false;
      const { plugin } = entry;
      await this.#undo('unmount_device', plugin.unstage?.bind(plugin), entry, signal);
      await this.#undo('volume_detach', plugin.detach?.bind(plugin), entry, signal);
      this.#entries.delete(id);
    }
    // Only now: a pod whose undoing failed comes again for it.
    if (uid !== undefined) entry.users.delete(uid);
  }

  async #undo(
    operation: StorageOperation,
    work: ((stage: FoundStage, signal: AbortSignal) => Promise<void>) | undefined,
    entry: Entry,
    signal: AbortSignal,
  ): Promise<void> {
    if (work) await counted(this.#count, operation, entry.countedAs, () => work(entry, signal));
  }

  #enter(plugin: VolumePlugin, key: string): Entry {
    const id = idOf(plugin, key);
    const fresh = {
      plugin,
      key,
      stage: {},
      confirmed: false,
      countedAs: plugin.name,
      told: false,
      users: new Set<PodUid>(),
    };
    const entry = this.#entries.get(id) ?? fresh;
    this.#entries.set(id, entry);
    return entry;
  }
}

interface Listeners {
  readonly count: CountOperation;
  readonly tell: (call: string) => void;
  readonly attached: () => void;
}

async function make(
  plugin: VolumePlugin,
  volume: PodVolume,
  { count, tell, attached }: Listeners,
  signal: AbortSignal,
): Promise<NodeStage> {
  const attach = plugin.attach?.bind(plugin);
  const stageIt = plugin.stage?.bind(plugin);
  const told = { volume: volume.specName, plugin: plugin.name };
  const name = countedName(plugin.name, volume.origin);
  const attachCall = plugin.attachesHere ? attachVolume : waitForAttach;
  let stage: NodeStage = {};
  try {
    if (attach) tell(attachCall);
    if (attach) stage = await counted(count, 'volume_attach', name, () => attach(volume, signal));
  } catch (err) {
    signal.throwIfAborted();
    throw VolumeError.of({ ...told, call: attachCall }, err);
  }
  if (stage.attachedHere) attached();
  try {
    if (!stageIt) return stage;
    tell(mountDevice);
    return await counted(count, 'volume_mount_device', name, () => stageIt(volume, stage, signal));
  } catch (err) {
    signal.throwIfAborted();
    throw VolumeError.of({ ...told, call: mountDevice }, err);
  }
}

const waitForAttach = 'MountVolume.WaitForAttach';
const mountDevice = 'MountVolume.MountDevice';

const idOf = (plugin: VolumePlugin, key: string): string => `${plugin.name} ${key}`;
