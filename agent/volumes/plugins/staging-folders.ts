import { readdir } from 'node:fs/promises';
import { errnoOf } from '../../../base/errors.js';
import { isMountPoint } from '../fs/is-mount-point.js';
import { mountsBelow, readMountInfo } from '../mounts/mount-table.js';
import type { Mounter } from '../mounts/mounter.js';
import { removeEmptyFolders } from '../pod-teardown.js';

/** What is mounted at `source` appears at `target` too. */
export async function bindInto(source: string, target: string, mounter: Mounter, signal: AbortSignal): Promise<void> {
  await mounter.mount([{ source, target, fsType: 'none', options: ['bind'] }], signal);
}

/** Unmounts a folder in which a volume was staged, and removes it when it is empty. */
export async function removeStagingFolder(path: string, mounter: Mounter, signal: AbortSignal): Promise<void> {
  await unmountAllAt(path, mounter, signal);
  await removeEmptyFolders(path);
}

/** By the mount table: a server that is gone would hang whoever looks at the path itself. */
export async function unmountAllAt(path: string, mounter: Mounter, signal: AbortSignal): Promise<void> {
  const mounts = mountsBelow(await readMountInfo(), path);
  await mounter.unmount(
    mounts.map(({ mountPoint }) => mountPoint),
    signal,
  );
}

/** Nothing was mounted at the folder and nothing was put into it: whoever would have is not to be asked to undo it. */
export async function isUntouched(path: string): Promise<boolean> {
  if (await isMountPoint(path)) return false;
  return (await readdir(path).catch(() => [])).length === 0;
}

/** Names of the folders in which something was staged; none where the folder above is missing. */
export async function stagedNames(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT' || errnoOf(err) === 'ENOTDIR') return [];
    throw err;
  }
}
