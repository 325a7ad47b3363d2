import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../base/errors.js';
import type { PodUid } from '../api/index.js';
import { unescapePlugin, type VolumePaths } from './volume-paths.js';
import type { FoundVolume } from './volume-plugin.js';

/** The volumes of one pod that have a folder or device link on disk. */
export async function findPodVolumes(paths: VolumePaths, uid: PodUid): Promise<FoundVolume[]> {
  const [folders, devices] = await Promise.all([secondLevel(paths.volumes(uid)), secondLevel(paths.devices(uid))]);
  return [
    ...folders.map((entry) => ({ ...entry, uid, block: false })),
    ...devices.map((entry) => ({ ...entry, uid, block: true })),
  ];
}

/** The pods of which anything of a volume is on disk. */
export async function findPresentPods(paths: VolumePaths): Promise<PodUid[]> {
  const uids = (await namesIn(paths.pods)) as PodUid[];
  const present = await Promise.all(uids.map((uid) => hasParts(paths, uid)));
  return uids.filter((_, index) => present[index]);
}

async function hasParts(paths: VolumePaths, uid: PodUid): Promise<boolean> {
  const parts = await Promise.all([
    secondLevel(paths.volumes(uid)),
    secondLevel(paths.devices(uid)),
    secondLevel(paths.podPlugins(uid)),
    namesIn(paths.subpaths(uid)),
  ]);
  return parts.some((part) => part.length > 0);
}

async function secondLevel(folder: string): Promise<{ plugin: string; specName: string; path: string }[]> {
  const plugins = await namesIn(folder);
  const found = await Promise.all(
    plugins.map(async (plugin) =>
      (await namesIn(join(folder, plugin))).map((specName) => ({
        plugin: unescapePlugin(plugin),
        specName,
        path: join(folder, plugin, specName),
      })),
    ),
  );
  return found.flat();
}

/** Nothing for what is not there or not a folder. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT' || errnoOf(err) === 'ENOTDIR') return [];
    throw err;
  }
}
