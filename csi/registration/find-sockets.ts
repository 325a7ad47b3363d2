import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../base/errors.js';

/** How deep below the folder sockets are looked for; the kubelet has no limit, real drivers use none or one level. */
export const socketDepth = 4;

/**
 * The unix sockets of a folder and the folders in it, each with a word that changes when it is made anew (and not when its
 * mode or owner changes, as drivers do right after listening). Names that begin with a dot are skipped.
 */
export async function findSockets(folder: string, level = 0): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const entry of await listIfPresent(folder)) {
    if (entry.name.startsWith('.')) continue;
    const path = join(folder, entry.name);
    if (entry.isSocket()) {
      const identity = await socketIdentity(path);
      if (identity !== undefined) found.set(path, identity);
    } else if (entry.isDirectory() && level < socketDepth) {
      for (const [socketPath, identity] of await findSockets(path, level + 1)) found.set(socketPath, identity);
    }
  }
  return found;
}

async function listIfPresent(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (err) {
    if (errnoOf(err) === 'ENOENT' || errnoOf(err) === 'ENOTDIR') return [];
    throw err;
  }
}

/** The inode alone does not do: a file system may give it out again at once. */
async function socketIdentity(path: string): Promise<string | undefined> {
  try {
    const { dev, ino, mtimeNs } = await stat(path, { bigint: true });
    return `${dev}:${ino}:${mtimeNs}`;
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return undefined;
    throw err;
  }
}
