import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  csiBlockPaths,
  csiDataFolder,
  csiStagingPath,
  ephemeralHandle,
  readVolumeData,
  recoverVolumeData,
  type CsiVolumeData,
  type KnownVolume,
} from '../../../../csi/index.js';
import { errnoOf } from '../../../../base/errors.js';
import { readMountInfo } from '../../mounts/mount-table.js';
import type { PluginContext } from '../../plugin-context.js';
import type { FoundStage, FoundVolume } from '../../volume-plugin.js';

/** Names what is staged: driver names hold no space. A block volume's paths are made from the PersistentVolume's name. */
export const stageKey = (driver: string, handle: string, blockSpecName = ''): string =>
  `${driver} ${blockSpecName} ${handle}`;

export function partsOfKey(key: string): { driver: string; blockSpecName: string; handle: string } {
  const [driver = '', blockSpecName = '', ...handle] = key.split(' ');
  return { driver, blockSpecName, handle: handle.join(' ') };
}

/** Where the record of a pod's volume lies. */
export function recordFolder(rootDir: string, found: FoundVolume): string {
  return found.block ? csiBlockPaths(rootDir, found.uid, found.specName).data : found.path;
}

/** What the record of a pod's volume says; worked out anew when it was lost. Undefined when nobody can tell. */
export async function recordOf(
  found: FoundVolume,
  context: PluginContext,
  signal: AbortSignal,
): Promise<CsiVolumeData | undefined> {
  const { rootDir } = context.paths;
  const read = await readVolumeData(recordFolder(rootDir, found));
  if (read.kind === 'read') return read.data;
  if (read.kind === 'set-aside')
    context.log.error(
      { podUid: found.uid, volume: found.specName, reason: read.reason, movedTo: read.movedTo },
      'vol_data.json cannot be read and was set aside',
    );
  const known = await knownVolumes(found, context, signal);
  if (found.block) return known.find(({ specVolID }) => specVolID === found.specName);
  return await recoverVolumeData(rootDir, join(found.path, 'mount'), { known, mountinfo: await readMountInfo() });
}

async function knownVolumes(found: FoundVolume, context: PluginContext, signal: AbortSignal): Promise<KnownVolume[]> {
  const volumes = await context.objects.list('PersistentVolume', '', signal).catch(() => []);
  const persistent = volumes.flatMap(({ metadata, spec }): KnownVolume[] =>
    spec?.csi
      ? [{ driverName: spec.csi.driver, volumeHandle: spec.csi.volumeHandle, specVolID: metadata?.name ?? '' }]
      : [],
  );
  const pods = await context.objects.list('Pod', '', signal).catch(() => []);
  const inline = pods
    .filter(({ metadata }) => metadata?.uid === found.uid)
    .flatMap(({ spec }) => spec?.volumes ?? [])
    .flatMap(({ name, csi }): KnownVolume[] =>
      csi
        ? [
            {
              driverName: csi.driver,
              volumeHandle: ephemeralHandle(found.uid, name),
              specVolID: name,
              podUid: found.uid,
            },
          ]
        : [],
    );
  return [...persistent, ...inline];
}

/** Everything that has a record of its own for the node: staged, or attached by the agent itself. */
export async function findCsiStages(rootDir: string): Promise<FoundStage[]> {
  const folder = dirname(dirname(csiDataFolder(csiStagingPath(rootDir, 'driver', 'handle'))));
  const found: FoundStage[] = [];
  for (const driver of await namesIn(folder)) {
    if (driver === 'volumeDevices') continue;
    for (const hash of await namesIn(join(folder, driver))) {
      const read = await readVolumeData(join(folder, driver, hash));
      if (read.kind === 'read')
        found.push({
          key: stageKey(driver, read.data.volumeHandle),
          stage: { stagePath: join(folder, driver, hash, 'globalmount') },
        });
    }
  }
  const devices = dirname(csiBlockPaths(rootDir, '', 'name').volumeFolder);
  for (const specName of await namesIn(devices)) {
    if (specName === 'staging' || specName === 'publish') continue;
    const read = await readVolumeData(csiBlockPaths(rootDir, '', specName).data);
    if (read.kind === 'read')
      found.push({ key: stageKey(read.data.driverName, read.data.volumeHandle, specName), stage: {} });
  }
  return found;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT' || errnoOf(err) === 'ENOTDIR') return [];
    throw err;
  }
}
