import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readIfPresent, writeFileAtomic, type StateRead } from '../../base/atomic-file.js';
import { errnoOf } from '../../base/errors.js';
import { namePath } from '../../base/name-path.js';

/** What the kubelet keeps beside a mount to be able to undo it; the keys are its own. */
export interface CsiVolumeData {
  readonly driverName: string;
  readonly volumeHandle: string;
  readonly specVolID?: string | undefined;
  readonly nodeName?: string | undefined;
  readonly attachmentID?: string | undefined;
  readonly volumeLifecycleMode?: 'Persistent' | 'Ephemeral' | undefined;
  readonly seLinuxMountContext?: string | undefined;
  /** Where what a detach needs is found; a kubelet never detaches by itself and does not know these keys. */
  readonly attachSecretName?: string | undefined;
  readonly attachSecretNamespace?: string | undefined;
}

export const volumeDataFile = 'vol_data.json';

/** Made with its folder before the driver is called, so that a crash in between leaves something to undo by. */
export async function writeVolumeData(folder: string, data: CsiVolumeData): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o750 });
  const entries = Object.entries(data).filter(([, value]) => value !== undefined);
  const ordered = Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  const path = join(folder, volumeDataFile);
  try {
    await writeFileAtomic(path, `${JSON.stringify(ordered)}\n`, { mode: 0o644 });
  } catch (err) {
    throw namePath(err, path);
  }
}

/** A file that cannot be used is renamed out of the way and kept; see `recoverVolumeData` for what can be done then. */
export async function readVolumeData(folder: string): Promise<StateRead<CsiVolumeData>> {
  const path = join(folder, volumeDataFile);
  const text = await readIfPresent(path);
  if (text === undefined) return { kind: 'missing' };
  try {
    return { kind: 'read', data: parseVolumeData(text) };
  } catch (err) {
    const movedTo = `${path}.corrupt-${Date.now()}`;
    await rename(path, movedTo);
    return { kind: 'set-aside', reason: err instanceof Error ? err.message : String(err), movedTo };
  }
}

export function parseVolumeData(text: string): CsiVolumeData {
  const value = JSON.parse(text) as unknown;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('not a JSON object');
  const fields = new Map(Object.entries(value));
  const word = (key: string): string | undefined => {
    const field = fields.get(key) as unknown;
    if (field === undefined || field === '') return undefined;
    if (typeof field !== 'string') throw new Error(`${key} is not a string`);
    return field;
  };
  const driverName = word('driverName');
  const volumeHandle = word('volumeHandle');
  if (driverName === undefined || volumeHandle === undefined) throw new Error('driverName or volumeHandle is missing');
  const mode = word('volumeLifecycleMode');
  if (mode !== undefined && mode !== 'Persistent' && mode !== 'Ephemeral') {
    throw new Error(`volumeLifecycleMode ${JSON.stringify(mode)} is unknown`);
  }
  return {
    driverName,
    volumeHandle,
    specVolID: word('specVolID'),
    nodeName: word('nodeName'),
    attachmentID: word('attachmentID'),
    volumeLifecycleMode: mode,
    seLinuxMountContext: word('seLinuxMountContext'),
    attachSecretName: word('attachSecretName'),
    attachSecretNamespace: word('attachSecretNamespace'),
  };
}

export type FolderRemoval =
  | { readonly kind: 'removed' }
  /** Something is mounted there, so nothing was touched. */
  | { readonly kind: 'still-mounted'; readonly path: string }
  /** Something lies there that is not ours, so it was left. */
  | { readonly kind: 'not-empty'; readonly path: string };

/**
 * Removes a staging or publish path after the driver's undo, and the records beside it. Removes empty folders only, and the
 * records last: what cannot be removed can still be undone. May be repeated.
 */
export async function removeVolumeFolder(stagingOrPublishPath: string): Promise<FolderRemoval> {
  const target = await removeEmptyFolder(stagingOrPublishPath);
  if (target.kind !== 'removed') return target;
  const folder = dirname(stagingOrPublishPath);
  for (const name of await namesIn(folder)) {
    if (name === volumeDataFile || name.startsWith(`${volumeDataFile}.`)) await rm(join(folder, name), { force: true });
  }
  return await removeEmptyFolder(folder);
}

/** The kernel itself refuses to remove a folder on which something is mounted, or one that holds anything. */
async function removeEmptyFolder(path: string): Promise<FolderRemoval> {
  try {
    await rmdir(path);
    return { kind: 'removed' };
  } catch (err) {
    switch (errnoOf(err)) {
      case 'ENOENT':
        return { kind: 'removed' };
      case 'EBUSY':
        return { kind: 'still-mounted', path };
      case 'ENOTEMPTY':
      case 'EEXIST':
      case 'ENOTDIR':
        return { kind: 'not-empty', path };
      default:
        throw err;
    }
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return [];
    throw err;
  }
}
