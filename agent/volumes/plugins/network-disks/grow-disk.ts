import { growFileSystem } from '../../mounts/grow-file-system.js';
import { mountsBelow, readMountInfo } from '../../mounts/mount-table.js';
import type { PluginContext } from '../../plugin-context.js';
import { VolumeProblem } from '../../volume-error.js';
import type { PublishRequest } from '../../volume-plugin.js';
import type { ScsiDisks } from './scsi-disks.js';

/**
 * Has the kernel ask the disk how large it is, and makes the file system on it as large. Whoever keeps the disk has made it larger before;
 * until he has, this fails and is tried again.
 */
export async function growDisk(
  { volume, staged }: PublishRequest,
  disks: ScsiDisks,
  context: Pick<PluginContext, 'run'>,
  bytes: number,
  signal: AbortSignal,
): Promise<number> {
  const { stagePath = '', devicePath } = staged;
  const device = devicePath ?? (await mountedAt(stagePath));
  if (device === undefined) throw new VolumeProblem('unavailable', `no disk is mounted at ${stagePath}`);
  const size = await disks.sizeNow(device, signal);
  if (size < bytes)
    throw new VolumeProblem('refused', `${device} has ${size} bytes of the ${bytes}: its target must grow it first`);
  if (!volume.block) await growFileSystem(device, stagePath, context, signal);
  return size;
}

async function mountedAt(path: string): Promise<string | undefined> {
  return mountsBelow(await readMountInfo(), path).find(({ mountPoint }) => mountPoint === path)?.source;
}
