import { dirname } from 'node:path';
import { errnoOf } from '../../../base/errors.js';
import { Pinned } from './pinned.js';

/** Exact for bind mounts of one file system too, without reading the mount table. False when there is nothing at `path`. */
export async function isMountPoint(path: string): Promise<boolean> {
  const [own, above] = await Promise.all([mountIdOf(path), mountIdOf(dirname(path))]);
  return own !== undefined && own !== above;
}

async function mountIdOf(path: string): Promise<string | undefined> {
  let pinned: Pinned;
  try {
    pinned = await Pinned.open(path);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return undefined;
    throw err;
  }
  try {
    return pinned.mountId();
  } finally {
    await pinned.close();
  }
}
