import { readdir, rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../base/errors.js';
import type { PodUid } from '../api/index.js';
import { findPodVolumes } from './found-volumes.js';
import { removeTree } from './fs/remove-tree.js';
import { mountsBelow, readMountInfo } from './mounts/mount-table.js';
import type { Mounter } from './mounts/mounter.js';
import { counted, type CountOperation } from './storage-operations.js';
import { VolumeError, VolumeProblem, type VolumeFailure } from './volume-error.js';
import type { VolumePaths } from './volume-paths.js';
import type { FoundVolume, VolumePlugin } from './volume-plugin.js';

export interface TeardownDeps {
  readonly count: CountOperation;
  readonly paths: VolumePaths;
  readonly mounter: Mounter;
  /** The plugin whose folder name this is; undefined for one that this agent does not have. */
  pluginOfFolder(plugin: string): VolumePlugin | undefined;
  /** The kubelet's word for what made a volume; undefined where only the disk knows of it. */
  countedAs(specName: string): string | undefined;
}

/**
 * Takes everything of a pod's volumes away, going by what the disk and the kernel say and not by memory. Mounts go first, deepest first,
 * then what lies under them; a mount that is busy keeps its volume as it is, the other volumes go.
 */
export async function tearDownPod(uid: PodUid, deps: TeardownDeps, signal: AbortSignal): Promise<void> {
  const { paths } = deps;
  const found = (await findPodVolumes(paths, uid)).map((volume) => ({
    ...volume,
    owner: deps.pluginOfFolder(volume.plugin),
  }));
  const told: Told = { volume: `of pod ${uid}`, plugin: 'agent', call: 'UnmountVolume.CleanSubPaths' };
  const busy = await unmountOwn(uid, found, deps, signal);
  await attempt(told, signal, () => removeSubPaths(uid, busy, deps, signal));
  const results = await Promise.allSettled(
    found.map((volume) => {
      const operation = volume.block ? 'unmap_volume' : 'volume_unmount';
      const work = (): Promise<void> => tearDownVolume(volume, busy, deps, signal);
      const name = deps.countedAs(volume.specName) ?? volume.owner?.name ?? volume.plugin;
      return counted(deps.count, operation, name, work);
    }),
  );
  signal.throwIfAborted();
  const error = VolumeError.join(results.flatMap((result, index) => failureOf(result, found[index])));
  if (error) throw error;
  await attempt({ ...told, call: 'UnmountVolume.TearDown' }, signal, async () => {
    await removeTree(paths.podPlugins(uid), signal);
    for (const folder of [paths.volumes(uid), paths.devices(uid)]) await removeEmptyFolders(folder);
  });
}

interface OwnedVolume extends FoundVolume {
  readonly owner: VolumePlugin | undefined;
}

/**
 * Unmounts in one go all that no driver must be asked about: parts of volumes first, for they are bound on top of the volumes, then whatever
 * is mounted at or below volumes, by the agent or passed on from a container. Returns why something stayed.
 */
async function unmountOwn(
  uid: PodUid,
  found: readonly OwnedVolume[],
  { paths, mounter }: TeardownDeps,
  signal: AbortSignal,
): Promise<VolumeProblem | undefined> {
  const mounts = mountsBelow(await readMountInfo(), paths.pod(uid)).map(({ mountPoint }) => mountPoint);
  if (mounts.length === 0) return undefined;
  const isBelow = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);
  const drivers = found.filter(({ owner }) => owner?.unpublish !== undefined);
  const subPaths = mounts.filter((path) => isBelow(path, paths.subpaths(uid)));
  const others = mounts.filter(
    (path) => !subPaths.includes(path) && !drivers.some((driver) => isBelow(path, driver.path)),
  );
  try {
    await mounter.unmount([...subPaths, ...others], signal);
    return undefined;
  } catch (err) {
    if (err instanceof VolumeProblem) return err;
    throw err;
  }
}

async function removeSubPaths(
  uid: PodUid,
  busy: VolumeProblem | undefined,
  { paths }: TeardownDeps,
  signal: AbortSignal,
): Promise<void> {
  if (busy && (await hasMounts(paths.subpaths(uid)))) throw busy;
  await removeTree(paths.subpaths(uid), signal);
}

async function tearDownVolume(
  found: OwnedVolume,
  busy: VolumeProblem | undefined,
  { mounter }: TeardownDeps,
  signal: AbortSignal,
): Promise<void> {
  const { owner, path } = found;
  if (owner?.unpublish) {
    await owner.unpublish(found, signal);
    const left = mountsBelow(await readMountInfo(), path);
    await mounter.unmount(
      left.map(({ mountPoint }) => mountPoint),
      signal,
    );
  }
  if (busy && (await hasMounts(path))) throw busy;
  if (found.block) await unlinkDevice(path);
  if (owner?.deletesContent) await removeTree(path, signal);
  else await removeEmptyFolders(path);
}

const hasMounts = async (folder: string): Promise<boolean> => mountsBelow(await readMountInfo(), folder).length > 0;

type Told = Omit<VolumeFailure, 'code'>;

function failureOf(result: PromiseSettledResult<void>, found: OwnedVolume | undefined): VolumeError[] {
  if (result.status === 'fulfilled') return [];
  const { specName = '', owner } = found ?? {};
  const plugin = owner?.name ?? found?.plugin ?? '';
  return [VolumeError.of({ volume: specName, plugin, call: 'UnmountVolume.TearDown' }, result.reason)];
}

async function unlinkDevice(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (err) {
    const errno = errnoOf(err);
    if (errno !== 'ENOENT' && errno !== 'EISDIR') throw err;
  }
}

/** A file found on the way belongs to a driver or to someone's data: it stays, and so do the folders above it. */
export async function removeEmptyFolders(path: string): Promise<void> {
  if (await rmdirIfEmpty(path)) return;
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (!entry.isDirectory())
      throw new VolumeProblem('busy', `remove ${path}: ${entry.name} is in it and is not the agent's`);
    await removeEmptyFolders(join(path, entry.name));
  }
  await rmdir(path);
}

async function rmdirIfEmpty(path: string): Promise<boolean> {
  try {
    await rmdir(path);
    return true;
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return true;
    if (errnoOf(err) === 'ENOTEMPTY') return false;
    throw err;
  }
}

async function attempt(told: Told, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (err) {
    signal.throwIfAborted();
    throw VolumeError.of(told, err);
  }
}
