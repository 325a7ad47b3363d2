import { mkdir, readlink, stat, symlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../../base/errors.js';
import { isMountPoint } from '../fs/is-mount-point.js';
import { formatAndMount } from '../mounts/format-and-mount.js';
import { growFileSystem } from '../mounts/grow-file-system.js';
import { giveToGroup } from '../ownership.js';
import type { PluginContext } from '../plugin-context.js';
import { VolumeProblem } from '../volume-error.js';
import type {
  FoundStage,
  FoundVolume,
  NodeStage,
  PodVolume,
  PublishedVolume,
  PublishRequest,
  VolumePlugin,
} from '../volume-plugin.js';
import { bindInto, removeStagingFolder, stagedNames } from './staging-folders.js';

/** A folder, file system or disk of this very machine that somebody prepared. */
export class LocalVolumePlugin implements VolumePlugin {
  readonly name = 'kubernetes.io/local-volume';
  readonly hasFolder = true;
  readonly deletesContent = false;
  readonly handsOutDevices = true;
  readonly #context: PluginContext;
  readonly #mounts: string;

  constructor(context: PluginContext) {
    this.#context = context;
    this.#mounts = join(context.paths.plugin('kubernetes.io/local-volume'), 'mounts');
  }

  supports(origin: PodVolume['origin']): boolean {
    return origin.kind === 'persistent' && origin.persistentVolume.spec?.local !== undefined;
  }

  stageKey({ specName, block }: PodVolume): Promise<string | undefined> {
    return Promise.resolve(block ? undefined : specName);
  }

  /** Only a disk is mounted once for the node; a folder is there already. */
  async stage(
    { origin, specName, readOnly }: PodVolume,
    _attached: NodeStage,
    signal: AbortSignal,
  ): Promise<NodeStage> {
    const { path, fsType = '', mountOptions } = sourceOf(origin);
    if (!(await isBlockDevice(path))) return { stagePath: path };
    const target = join(this.#mounts, specName);
    await mkdir(target, { recursive: true, mode: 0o750 });
    await formatAndMount({ device: path, target, fsType, readOnly, mountOptions }, this.#context, signal);
    return { stagePath: target };
  }

  async publish(request: PublishRequest, signal: AbortSignal): Promise<PublishedVolume> {
    const { volume, path, staged, devicePath } = request;
    if (volume.block) return await linkDevice(sourceOf(volume.origin).path, devicePath, volume.readOnly);
    if (!request.before) {
      const wasMounted = await isMountPoint(path);
      if (!wasMounted)
        await bindInto(staged.stagePath ?? sourceOf(volume.origin).path, path, this.#context.mounter, signal);
      if (!volume.readOnly) await giveToGroup(volume, path, wasMounted, this.#context, signal);
    }
    return { hostPath: path, readOnly: volume.readOnly };
  }

  /** Whoever prepared the disk made it larger; a folder has what its file system has. */
  async expand({ volume, staged }: PublishRequest, bytes: number, signal: AbortSignal): Promise<number> {
    const { path } = sourceOf(volume.origin);
    const { stagePath = path } = staged;
    if (!volume.block && (await isBlockDevice(path))) await growFileSystem(path, stagePath, this.#context, signal);
    return bytes;
  }

  async unstage({ key }: FoundStage, signal: AbortSignal): Promise<void> {
    await removeStagingFolder(join(this.#mounts, key), this.#context.mounter, signal);
  }

  async findStages(): Promise<readonly FoundStage[]> {
    return (await stagedNames(this.#mounts)).map((key) => ({ key, stage: { stagePath: join(this.#mounts, key) } }));
  }

  stageKeyOf({ specName, block }: FoundVolume): Promise<string | undefined> {
    return Promise.resolve(block ? undefined : specName);
  }
}

function sourceOf(origin: PodVolume['origin']): { path: string; fsType?: string | undefined; mountOptions: string[] } {
  const spec = origin.kind === 'persistent' ? origin.persistentVolume.spec : undefined;
  if (!spec?.local) throw new VolumeProblem('unsupported', 'not a local volume');
  if (spec.local.path.split('/').includes('..'))
    throw new VolumeProblem('refused', `invalid path: must not contain '..': ${spec.local.path}`);
  return { ...spec.local, mountOptions: spec.mountOptions ?? [] };
}

async function isBlockDevice(path: string): Promise<boolean> {
  try {
    const info = await stat(path);
    if (info.isDirectory() || info.isBlockDevice()) return info.isBlockDevice();
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') throw new VolumeProblem('refused', `path "${path}" does not exist`, err);
    throw err;
  }
  throw new VolumeProblem('refused', `path "${path}" is neither a folder nor a block device`);
}

/** A block volume of a pod is a link to its device, which survives a restart of the agent. */
export async function linkDevice(device: string, link: string, readOnly: boolean): Promise<PublishedVolume> {
  const present = await readlink(link).catch(() => undefined);
  if (present !== device) {
    if (present !== undefined) await unlink(link);
    await symlink(device, link);
  }
  return { device: link, readOnly };
}
