import { randomBytes } from 'node:crypto';
import { opendir, readdir, rename, rmdir, unlink } from 'node:fs/promises';
import type { Dirent } from 'node:fs';
import { basename, dirname } from 'node:path';
import { errnoOf } from '../../../base/errors.js';
import { VolumeProblem } from '../volume-error.js';
import { Pinned } from './pinned.js';

/** Names read before they are removed, so that a folder of a million files needs no million names in memory. */
const namesAtOnce = 512;
/** Each level holds a descriptor; what lies deeper is moved up to the top and removed from there. */
const deepest = 64;

/**
 * Removes `path` and all below it. Never follows a link and never crosses a mount, a bind mount of the same file system included: a folder
 * that something is mounted on stops it with `busy`, before anything under the mount was touched. Nothing there is a success. The folder
 * that holds `path` must be the agent's own.
 */
export async function removeTree(path: string, signal: AbortSignal): Promise<void> {
  if ((await removeIfEmpty(path, path)) === 'gone') return;
  const parent = await Pinned.openFolder(dirname(path));
  try {
    const mountId = parent.mountId();
    await removeEntry(parent, basename(path), { mountId, shown: path, top: undefined }, 0, signal);
  } finally {
    await parent.close();
  }
}

interface Removal {
  readonly mountId: string;
  /** For messages. */
  readonly shown: string;
  /** Where deep folders are moved to: the topmost folder being removed. */
  readonly top: Pinned | undefined;
}

async function removeEntry(
  parent: Pinned,
  name: string,
  removal: Removal,
  depth: number,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const folder = await openFolderOrNot(parent, name);
  if (folder === 'gone') return;
  if (folder === 'not a folder') return await removeFile(parent, name, removal.shown);
  try {
    if (folder.mountId() !== removal.mountId) throw mountedOn(removal.shown);
    if (depth >= deepest && removal.top)
      return await rename(parent.entry(name), removal.top.entry(`.removing-${randomBytes(8).toString('hex')}`));
    const inside = { ...removal, top: removal.top ?? folder };
    do await emptyFolder(folder, inside, depth, signal);
    while ((await removeIfEmpty(parent.entry(name), removal.shown)) !== 'gone');
  } finally {
    await folder.close();
  }
}

/** Removes all it sees; what was added or moved here meanwhile is left for the next round. */
async function emptyFolder(folder: Pinned, removal: Removal, depth: number, signal: AbortSignal): Promise<void> {
  const { shown } = removal;
  let entries: Dirent[];
  do {
    entries = await someEntries(folder);
    const files = entries.filter((entry) => !entry.isDirectory());
    await Promise.all(files.map((entry) => removeFile(folder, entry.name, shown)));
    for (const { name } of entries.filter((entry) => entry.isDirectory())) {
      if ((await removeIfEmpty(folder.entry(name), shown)) === 'not empty')
        await removeEntry(folder, name, removal, depth + 1, signal);
    }
  } while (entries.length >= namesAtOnce);
}

/** A folder this small is read in one go, which takes half the time. */
const smallFolderBytes = 64 * 1024;

async function someEntries(folder: Pinned): Promise<Dirent[]> {
  if ((await folder.stat()).size < smallFolderBytes) return await readdir(folder.path, { withFileTypes: true });
  const entries: Dirent[] = [];
  for await (const entry of await opendir(folder.path, { bufferSize: 128 })) {
    entries.push(entry);
    if (entries.length === namesAtOnce) break;
  }
  return entries;
}

/** The kernel removes no folder that holds something or has something mounted on it. */
async function removeIfEmpty(path: string, shown: string): Promise<'gone' | 'not empty'> {
  try {
    await rmdir(path);
    return 'gone';
  } catch (err) {
    switch (errnoOf(err)) {
      case 'ENOENT':
        return 'gone';
      case 'ENOTEMPTY':
      case 'ENOTDIR':
        return 'not empty';
      case 'EBUSY':
        throw mountedOn(shown);
      default:
        throw err;
    }
  }
}

async function openFolderOrNot(parent: Pinned, name: string): Promise<Pinned | 'gone' | 'not a folder'> {
  try {
    return await parent.childFolder(name);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return 'gone';
    if (errnoOf(err) === 'ENOTDIR') return 'not a folder';
    throw err;
  }
}

async function removeFile(parent: Pinned, name: string, shown: string): Promise<void> {
  try {
    await unlink(parent.entry(name));
  } catch (err) {
    const errno = errnoOf(err);
    if (errno === 'EBUSY') throw mountedOn(shown);
    if (errno !== 'ENOENT' && errno !== 'EISDIR') throw err;
  }
}

const mountedOn = (shown: string): VolumeProblem =>
  new VolumeProblem('busy', `remove ${shown}: something is mounted below it`);
