import { formatAndMount } from '../../mounts/format-and-mount.js';
import { mountsBelow, readMountInfo } from '../../mounts/mount-table.js';
import { giveToGroup } from '../../ownership.js';
import type { PluginContext } from '../../plugin-context.js';
import type { NodeStage, PodVolume, PublishedVolume, PublishRequest } from '../../volume-plugin.js';
import { linkDevice } from '../local-volume.js';
import { bindInto } from '../staging-folders.js';

/** What the sources of all disks that come over a network say alike. */
export interface DiskSource {
  readonly fsType?: string | undefined;
  readonly readOnly?: boolean | undefined;
}

/** Formats an attached disk where it is blank, and mounts it once for the node; a block volume is left as it is. */
export async function stageDisk(
  volume: PodVolume,
  attached: NodeStage,
  { fsType = '', readOnly = false }: DiskSource,
  context: PluginContext,
  signal: AbortSignal,
): Promise<NodeStage> {
  const { devicePath, stagePath = '' } = attached;
  if (volume.block || devicePath === undefined) return attached;
  const { origin } = volume;
  const mountOptions = origin.kind === 'persistent' ? (origin.persistentVolume.spec?.mountOptions ?? []) : [];
  const mount = { device: devicePath, target: stagePath, fsType, readOnly: readOnly || volume.readOnly };
  await formatAndMount({ ...mount, mountOptions }, context, signal);
  return attached;
}

/** Gives a pod what is staged: its folder, or a link to the device. */
export async function publishDisk(
  { volume, path, devicePath, staged }: PublishRequest,
  source: DiskSource,
  context: PluginContext,
  signal: AbortSignal,
): Promise<PublishedVolume> {
  const readOnly = volume.readOnly || (source.readOnly ?? false);
  if (volume.block) return await linkDevice(staged.devicePath ?? '', devicePath, readOnly);
  const wasMounted = await isMounted(path);
  if (!wasMounted) await bindInto(staged.stagePath ?? '', path, context.mounter, signal);
  if (!readOnly) await giveToGroup(volume, path, wasMounted, context, signal);
  return { hostPath: path, readOnly };
}

/** By the mount table: a disk that is gone would hang whoever looks at the path itself. */
export async function isMounted(path: string): Promise<boolean> {
  return mountsBelow(await readMountInfo(), path).some(({ mountPoint }) => mountPoint === path);
}
