import { readdir, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { FolderRemoval } from '../../../../csi/index.js';
import { errnoOf } from '../../../../base/errors.js';
import { VolumeProblem } from '../../volume-error.js';

/** Asks the folder above: what is mounted at the path itself may hang whoever looks at it. */
export async function exists(path: string): Promise<boolean> {
  return (await readdir(dirname(path)).catch((): string[] => [])).includes(basename(path));
}

/** What lies in a folder of a volume and is not ours is never removed. */
export async function rejectLeft(removing: Promise<FolderRemoval>): Promise<void> {
  const removal = await removing;
  if (removal.kind === 'still-mounted') throw new VolumeProblem('busy', `the driver left ${removal.path} mounted`);
  if (removal.kind === 'not-empty')
    throw new VolumeProblem(
      'failed',
      `the driver left something in ${removal.path}, which is not the agent's to remove`,
    );
}

export async function unlinkIfThere(path: string): Promise<void> {
  await unlink(path).catch((err: unknown) => {
    if (errnoOf(err) !== 'ENOENT') throw err;
  });
}

/** False when something is in it or mounted on it. */
export async function rmdirIfEmpty(path: string): Promise<boolean> {
  try {
    await rmdir(path);
    return true;
  } catch (err) {
    const errno = errnoOf(err);
    if (errno === 'ENOENT') return true;
    if (errno === 'ENOTEMPTY' || errno === 'EBUSY') return false;
    throw err;
  }
}
