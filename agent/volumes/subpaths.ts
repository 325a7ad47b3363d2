import { lstat, mkdir, realpath, writeFile } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf } from '../../base/errors.js';
import { isMountPoint } from './fs/is-mount-point.js';
import type { Pinned } from './fs/pinned.js';
import { removeTree } from './fs/remove-tree.js';
import { resolveInside } from './fs/resolve-inside.js';
import type { Mounter } from './mounts/mounter.js';
import { VolumeProblem } from './volume-error.js';

export interface SubPathRequest {
  /** The volume as the host sees it. */
  readonly root: string;
  /** Relative, without `..`. */
  readonly subPath: string;
  /** Where it is pinned for the container; only the agent writes to its folders. */
  readonly target: string;
}

interface Prepared {
  readonly request: SubPathRequest;
  readonly source: Pinned;
  readonly info: Stats;
}

/**
 * Binds parts of volumes to places of their own, for containers to mount. The part is found from the volume's root component by component
 * and held by its inode while it is bound, so a container that swaps names for links can make it fail, never make it leave the volume. What
 * was bound is compared with what was held.
 */
export async function bindSubPaths(
  requests: readonly SubPathRequest[],
  mounter: Mounter,
  signal: AbortSignal,
): Promise<void> {
  const held: Pinned[] = [];
  try {
    const toBind: Prepared[] = [];
    for (const request of requests) {
      signal.throwIfAborted();
      const source = await open(request);
      held.push(source);
      const info = await source.stat();
      if (info.isSymbolicLink()) throw new VolumeProblem('refused', 'the path is a link');
      if (await prepareTarget(request, info, mounter, signal)) toBind.push({ request, source, info });
    }
    await mounter.mount(
      toBind.map(({ request, source }) => ({
        source: source.pathForChildren,
        target: request.target,
        fsType: 'none',
        options: ['bind'],
      })),
      signal,
    );
    for (const prepared of toBind) await verify(prepared, mounter, signal);
  } finally {
    for (const pinned of held) await pinned.close();
  }
}

async function open({ root, subPath }: SubPathRequest): Promise<Pinned> {
  // The root itself is the agent's or the administrator's: its own links are theirs.
  const found = await resolveInside(await realpath(root), subPath, { escape: 'refuse', create: true });
  if (!found) throw new VolumeProblem('refused', 'the path changed while it was read');
  return found;
}

/** Makes what the bind lies over. False when the right thing is bound there already. */
async function prepareTarget(
  { target }: SubPathRequest,
  source: Stats,
  mounter: Mounter,
  signal: AbortSignal,
): Promise<boolean> {
  const present = await lstatIfPresent(target);
  if (present && (await isMountPoint(target))) {
    if (sameFile(present, source)) return false;
    // An earlier start of this container had another file here, for example the content before an update.
    await mounter.unmount([target], signal);
  }
  const left = present && (await lstatIfPresent(target));
  if (left && left.isDirectory() === source.isDirectory()) return true;
  if (left) await removeTree(target, signal);
  await mkdir(dirname(target), { recursive: true, mode: 0o750 });
  if (source.isDirectory()) await mkdir(target, { mode: 0o750 });
  else await writeFile(target, '', { mode: 0o640, flag: 'wx' });
  return true;
}

async function verify({ request, info }: Prepared, mounter: Mounter, signal: AbortSignal): Promise<void> {
  const { target } = request;
  if (sameFile(await lstat(target), info) && (await isMountPoint(target))) return;
  if (await isMountPoint(target)) await mounter.unmount([target], signal);
  throw new VolumeProblem('refused', 'the path changed while it was bound');
}

const sameFile = (a: Stats, b: Stats): boolean => a.dev === b.dev && a.ino === b.ino;

async function lstatIfPresent(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return undefined;
    throw err;
  }
}
