import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { mountsBelow, readMountInfo } from '../../mounts/mount-table.js';
import type { PluginContext } from '../../plugin-context.js';
import { removeEmptyFolders } from '../../pod-teardown.js';
import { VolumeProblem } from '../../volume-error.js';
import type { FCVolumeSource } from '../../../api/index.js';
import type {
  FoundStage,
  FoundVolume,
  NodeStage,
  PodVolume,
  PublishedVolume,
  PublishRequest,
  VolumePlugin,
} from '../../volume-plugin.js';
import { isMounted, publishDisk, stageDisk } from '../network-disks/disk-volume.js';
import { growDisk } from '../network-disks/grow-disk.js';
import { linkTarget, namesIn, ScsiDisks } from '../network-disks/scsi-disks.js';
import { stagedNames, unmountAllAt } from '../staging-folders.js';
import { fcDisk, fcDiskOfKey, fcKey, fcLinks, type FcDisk } from './fc-disk.js';

/** Where the kernel and udev show disks. */
export interface FcRoots {
  readonly sys: string;
  /** `/dev/disk`. */
  readonly disks: string;
}

/**
 * A disk of a Fibre Channel array that is zoned to this machine: found by udev's links, formatted where it is blank, mounted once for the
 * node, and taken out of the kernel after the last pod (the kubelet's layout).
 */
export class FcPlugin implements VolumePlugin {
  readonly name = 'kubernetes.io/fc';
  readonly hasFolder = true;
  readonly deletesContent = false;
  readonly handsOutDevices = true;
  readonly #context: PluginContext;
  readonly #roots: FcRoots;
  readonly #root: string;
  readonly #disks: ScsiDisks;

  constructor(context: PluginContext, roots: FcRoots = { sys: '/sys', disks: '/dev/disk' }) {
    this.#context = context;
    this.#roots = roots;
    this.#root = context.paths.plugin(this.name);
    this.#disks = new ScsiDisks(roots.sys, context.run);
  }

  supports(origin: PodVolume['origin']): boolean {
    return sourceOf(origin) !== undefined;
  }

  async stageKey(volume: PodVolume): Promise<string | undefined> {
    return await Promise.resolve(fcKey(fcDisk(required(volume)), volume.block));
  }

  async attach(volume: PodVolume, signal: AbortSignal): Promise<NodeStage> {
    const disk = fcDisk(required(volume));
    const stagePath = join(this.#root, fcKey(disk, volume.block));
    if (!volume.block && (await isMounted(stagePath))) return { stagePath };
    await mkdir(stagePath, { recursive: true, mode: 0o750 });
    await this.#context.at('volume-stage-recorded');
    signal.throwIfAborted();
    return { stagePath, devicePath: await this.#find(disk) };
  }

  async stage(volume: PodVolume, attached: NodeStage, signal: AbortSignal): Promise<NodeStage> {
    return await stageDisk(volume, attached, required(volume), this.#context, signal);
  }

  async publish(request: PublishRequest, signal: AbortSignal): Promise<PublishedVolume> {
    return request.before ?? (await publishDisk(request, required(request.volume), this.#context, signal));
  }

  async expand(request: PublishRequest, bytes: number, signal: AbortSignal): Promise<number> {
    return await growDisk(request, this.#disks, this.#context, bytes, signal);
  }

  async unstage({ key }: FoundStage, signal: AbortSignal): Promise<void> {
    await unmountAllAt(join(this.#root, key), this.#context.mounter, signal);
  }

  /** The folder goes last: until then it says that there is a disk to let go. */
  async detach({ key }: FoundStage, signal: AbortSignal): Promise<void> {
    for (const device of await this.#devices(fcDiskOfKey(key)))
      await this.#disks.letGo(device, signal, ['blockdev', '--flushbufs', device]);
    await removeEmptyFolders(join(this.#root, key));
  }

  async findStages(): Promise<readonly FoundStage[]> {
    const whole = (await stagedNames(this.#root)).filter((name) => name !== 'volumeDevices');
    const raw = (await stagedNames(join(this.#root, 'volumeDevices'))).map((name) => `volumeDevices/${name}`);
    return [...whole, ...raw].map((key) => ({ key, stage: { stagePath: join(this.#root, key) } }));
  }

  /** By what is mounted in the pod's folder, or where its link leads: both are of one disk of this plugin's. */
  async stageKeyOf(found: FoundVolume): Promise<string | undefined> {
    const mountInfo = await readMountInfo();
    const stages = await this.findStages();
    if (!found.block) {
      const own = mountsBelow(mountInfo, found.path).find(({ mountPoint }) => mountPoint === found.path);
      if (!own) return undefined;
      return stages.find(({ key }) =>
        mountsBelow(mountInfo, join(this.#root, key)).some(({ device }) => device === own.device),
      )?.key;
    }
    const device = await linkTarget(found.path);
    for (const { key } of stages) {
      if (!key.startsWith('volumeDevices/')) continue;
      if (device !== undefined && (await this.#devices(fcDiskOfKey(key))).includes(device)) return key;
    }
    return undefined;
  }

  /** The multipath device on top where there is one. The kernel is made to look for new disks once when it has none. */
  async #find(disk: FcDisk): Promise<string> {
    let devices = await this.#devices(disk);
    if (devices.length === 0) {
      await this.#disks.scanAll();
      devices = await this.#devices(disk);
    }
    const device = await this.#disks.toMount(devices);
    if (device !== undefined) return device;
    const wanted = disk.by === 'ports' ? `${disk.wwns.join(', ')} lun ${disk.lun}` : disk.wwids.join(', ');
    throw new VolumeProblem(
      'unavailable',
      `no fc disk found: no link of ${this.#roots.disks} leads to ${wanted}; is it zoned to this machine?`,
    );
  }

  async #devices(disk: FcDisk): Promise<string[]> {
    const listing = (folder: string): Promise<string[]> => namesIn(join(this.#roots.disks, folder));
    const links = fcLinks(disk, { byPath: await listing('by-path'), byId: await listing('by-id') });
    const targets = await Promise.all(
      links.map(({ folder, name }) => linkTarget(join(this.#roots.disks, folder, name))),
    );
    return [...new Set(targets)].filter((target) => target !== undefined);
  }
}

const sourceOf = (origin: PodVolume['origin']): FCVolumeSource | undefined =>
  origin.kind === 'inline' ? origin.volume.fc : origin.persistentVolume.spec?.fc;

function required({ origin }: PodVolume): FCVolumeSource {
  const source = sourceOf(origin);
  if (!source) throw new VolumeProblem('unsupported', 'not a Fibre Channel volume');
  return source;
}
