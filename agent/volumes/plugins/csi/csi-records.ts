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
import type { CsiSource } from './csi-source.js';
import type { VolumePaths } from '../../volume-paths.js';
import type { FoundStage, FoundVolume } from '../../volume-plugin.js';

/** Names what is staged: driver names hold no space. A block volume's paths are made from the PersistentVolume's name. */
export const stageKey = (driver: string, handle: string, blockSpecName = ''): string =>
  `${driver} ${blockSpecName} ${handle}`;

export function partsOfKey(key: string): { driver: string; blockSpecName: string; handle: string } {
  const [driver = '', blockSpecName = '', ...handle] = key.split(' ');
  return { driver, blockSpecName, handle: handle.join(' ') };
}

/** What a detach will need, for then the claim and its volume may be gone. */
export function attachSecretOf({ controllerPublishSecret }: CsiSource): Partial<CsiVolumeData> {
  const { name, namespace } = controllerPublishSecret ?? {};
  return name === undefined ? {} : { attachSecretName: name, attachSecretNamespace: namespace };
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

async function knownPersistent({ objects }: PluginContext, signal: AbortSignal): Promise<KnownVolume[]> {
  const volumes = await objects.list('PersistentVolume', '', signal).catch(() => []);
  return volumes.flatMap(({ metadata, spec }): KnownVolume[] =>
    spec?.csi
      ? [{ driverName: spec.csi.driver, volumeHandle: spec.csi.volumeHandle, specVolID: metadata?.name ?? '' }]
      : [],
  );
}

/** What the records of pods say; also of volumes that this agent itself had made. */
async function publishedVolumes(paths: VolumePaths): Promise<KnownVolume[]> {
  const known: KnownVolume[] = [];
  for (const uid of await namesIn(paths.pods)) {
    const folder = dirname(paths.volume(uid, 'kubernetes.io/csi', 'name'));
    for (const specVolID of await namesIn(folder)) {
      const read = await readVolumeData(join(folder, specVolID));
      if (read.kind === 'read') known.push({ ...read.data, specVolID });
    }
  }
  return known;
}

async function knownVolumes(found: FoundVolume, context: PluginContext, signal: AbortSignal): Promise<KnownVolume[]> {
  const persistent = await knownPersistent(context, signal);
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
export async function findCsiStages(context: PluginContext, signal: AbortSignal): Promise<FoundStage[]> {
  const { rootDir } = context.paths;
  const folder = dirname(dirname(csiDataFolder(csiStagingPath(rootDir, 'driver', 'handle'))));
  const found: FoundStage[] = [];
  for (const driver of await namesIn(folder)) {
    if (driver === 'volumeDevices') continue;
    for (const hash of await namesIn(join(folder, driver))) {
      const stagePath = join(folder, driver, hash, 'globalmount');
      const record = await stageRecord(join(folder, driver, hash), context, async () =>
        recoverVolumeData(rootDir, stagePath, {
          known: [...(await knownPersistent(context, signal)), ...(await publishedVolumes(context.paths))],
          mountinfo: await readMountInfo(),
        }),
      );
      if (record) found.push({ key: stageKey(driver, record.volumeHandle), stage: { stagePath } });
    }
  }
  const devices = dirname(csiBlockPaths(rootDir, '', 'name').volumeFolder);
  for (const specName of await namesIn(devices)) {
    if (specName === 'staging' || specName === 'publish') continue;
    const record = await stageRecord(csiBlockPaths(rootDir, '', specName).data, context, async () =>
      (await knownPersistent(context, signal)).find(({ specVolID }) => specVolID === specName),
    );
    if (record) found.push({ key: stageKey(record.driverName, record.volumeHandle, specName), stage: {} });
  }
  return found;
}

/** Undefined where nobody can tell which volume it was: it stays as it is, and is said to. */
async function stageRecord(
  folder: string,
  { log }: PluginContext,
  recover: () => Promise<Pick<CsiVolumeData, 'driverName' | 'volumeHandle'> | undefined>,
): Promise<Pick<CsiVolumeData, 'driverName' | 'volumeHandle'> | undefined> {
  const read = await readVolumeData(folder);
  if (read.kind === 'read') return read.data;
  const { reason, movedTo } = read.kind === 'set-aside' ? read : { reason: 'it is missing', movedTo: undefined };
  const record = await recover();
  const recovered = record !== undefined;
  log.error({ folder, reason, movedTo, recovered }, 'vol_data.json of a staged volume cannot be read');
  return record;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT' || errnoOf(err) === 'ENOTDIR') return [];
    throw err;
  }
}
