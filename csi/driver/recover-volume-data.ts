import { csiDataFolder, csiStagingPath, parseCsiPath, type CsiPlace } from './csi-paths.js';
import { readVolumeData, type CsiVolumeData } from './volume-data.js';
import { sha256 } from './volume-ids.js';
import { dirname, join } from 'node:path';

/** A volume the caller knows of, from the control plane or a pod's manifest. */
export interface KnownVolume {
  readonly driverName: string;
  readonly volumeHandle: string;
  readonly specVolID: string;
  /** Set for an inline volume: it belongs to this pod only. */
  readonly podUid?: string | undefined;
}

export interface RecoveryHints {
  readonly known: readonly KnownVolume[];
  /** `/proc/self/mountinfo`. */
  readonly mountinfo: string;
}

/**
 * Works out what a lost or corrupt `vol_data.json` said: by the path, by the volumes somebody knows of, and by what is
 * mounted at the same time at the volume's staging path. Undefined when the volume cannot be named for certain; then its
 * mount must be left alone and reported.
 */
export async function recoverVolumeData(
  root: string,
  stagingOrPublishPath: string,
  hints: RecoveryHints,
): Promise<CsiVolumeData | undefined> {
  const place = parseCsiPath(root, stagingOrPublishPath);
  if (place === undefined) return undefined;
  if (place.kind === 'staging') return fromHash(place.driver, place.handleHash, hints.known);
  const known = hints.known.filter(
    (volume) =>
      volume.specVolID.replaceAll('/', '~') === place.specName &&
      (volume.podUid === undefined || volume.podUid === place.podUid),
  );
  const [only] = known;
  if (only !== undefined && known.length === 1) return published(only, only.podUid !== undefined);
  return await fromStaging(root, stagingOrPublishPath, place, hints);
}

function fromHash(driver: string, hash: string, known: readonly KnownVolume[]): CsiVolumeData | undefined {
  const match = known.find((volume) => volume.driverName === driver && sha256(volume.volumeHandle) === hash);
  return match === undefined ? undefined : { driverName: driver, volumeHandle: match.volumeHandle };
}

function published(volume: Omit<KnownVolume, 'podUid'>, inline: boolean): CsiVolumeData {
  return {
    driverName: volume.driverName,
    volumeHandle: volume.volumeHandle,
    specVolID: volume.specVolID,
    volumeLifecycleMode: inline ? 'Ephemeral' : 'Persistent',
  };
}

/** A published volume is mostly the same file system as its staged one: the same device and the same root in it. */
async function fromStaging(
  root: string,
  path: string,
  place: Extract<CsiPlace, { kind: 'publish' }>,
  hints: RecoveryHints,
): Promise<CsiVolumeData | undefined> {
  const mounts = parseMountinfo(hints.mountinfo);
  const target = mounts.findLast((mount) => mount.path === path);
  if (target === undefined) return undefined;
  const stagings = mounts.flatMap((mount) => {
    const other =
      mount.device === target.device && mount.root === target.root ? parseCsiPath(root, mount.path) : undefined;
    return other?.kind === 'staging' ? [other] : [];
  });
  const [only] = stagings;
  if (only === undefined || stagings.length > 1) return undefined;
  const handle =
    fromHash(only.driver, only.handleHash, hints.known)?.volumeHandle ??
    (await stagedHandle(root, only.driver, only.handleHash));
  return handle === undefined
    ? undefined
    : published({ driverName: only.driver, volumeHandle: handle, specVolID: place.specName }, false);
}

async function stagedHandle(root: string, driver: string, hash: string): Promise<string | undefined> {
  const folder = join(dirname(csiDataFolder(csiStagingPath(root, driver, ''))), hash);
  const read = await readVolumeData(folder);
  // A record that names another volume than its folder does is not to be trusted.
  return read.kind === 'read' && sha256(read.data.volumeHandle) === hash ? read.data.volumeHandle : undefined;
}

interface Mount {
  readonly device: string;
  readonly root: string;
  readonly path: string;
}

function parseMountinfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [, , device, root, path] = line.split(' ');
    return device === undefined || root === undefined || path === undefined
      ? []
      : [{ device, root: unescapeOctal(root), path: unescapeOctal(path) }];
  });
}

function unescapeOctal(word: string): string {
  return word.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8)));
}
