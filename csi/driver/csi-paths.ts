import { dirname, join, relative, sep } from 'node:path';
import { sha256 } from './volume-ids.js';

/** The folders of the kubelet, as drivers and tools expect them. `specName` is the name of the PV, or of an inline volume. */

function csiFolder(root: string): string {
  return join(root, 'plugins', 'kubernetes.io', 'csi');
}

function escapeName(name: string): string {
  return name.replaceAll('/', '~');
}

/** Where a volume is staged once for the node; its `vol_data.json` lies in the folder above. */
export function csiStagingPath(root: string, driver: string, volumeHandle: string): string {
  return join(csiFolder(root), driver, sha256(volumeHandle), 'globalmount');
}

/** Where a volume is published for one pod; its `vol_data.json` lies in the folder above. */
export function csiPublishPath(root: string, podUid: string, specName: string): string {
  return join(root, 'pods', podUid, 'volumes', 'kubernetes.io~csi', escapeName(specName), 'mount');
}

/** The folder of the `vol_data.json` that belongs to a staging or publish path. */
export function csiDataFolder(stagingOrPublishPath: string): string {
  return dirname(stagingOrPublishPath);
}

export interface CsiBlockPaths {
  /** Given to stage and publish: a folder. */
  readonly staging: string;
  /** Given to publish: the driver makes a block device file here. */
  readonly publish: string;
  /** Holds one entry per pod. */
  readonly publishFolder: string;
  /** The global map: one file per pod, bound to `publish`. */
  readonly globalMap: string;
  /** Where `vol_data.json` lies. */
  readonly data: string;
  /** Everything of this volume but staging and publish. */
  readonly volumeFolder: string;
  /** In the pod's folder: a link to `publish`. */
  readonly podMap: string;
}

export function csiBlockPaths(root: string, podUid: string, specName: string): CsiBlockPaths {
  const devices = join(csiFolder(root), 'volumeDevices');
  const volumeFolder = join(devices, escapeName(specName));
  const publishFolder = join(devices, 'publish', specName);
  return {
    staging: join(devices, 'staging', specName),
    publishFolder,
    publish: join(publishFolder, podUid),
    globalMap: join(volumeFolder, 'dev'),
    data: join(volumeFolder, 'data'),
    volumeFolder,
    podMap: join(root, 'pods', podUid, 'volumeDevices', 'kubernetes.io~csi', specName),
  };
}

export type CsiPlace =
  | { readonly kind: 'staging'; readonly driver: string; readonly handleHash: string }
  | { readonly kind: 'publish'; readonly podUid: string; readonly specName: string };

/** What a staging or publish path, or the data folder above it, says about its volume; undefined for any other path. */
export function parseCsiPath(root: string, path: string): CsiPlace | undefined {
  const parts = relative(root, path).split(sep);
  const [a, b, c, d, e, f] = parts;
  if (a === 'plugins' && b === 'kubernetes.io' && c === 'csi' && d !== undefined && e !== undefined) {
    const whole = parts.length === 5 || (parts.length === 6 && f === 'globalmount');
    return whole && /^[0-9a-f]{64}$/.test(e) ? { kind: 'staging', driver: d, handleHash: e } : undefined;
  }
  if (a === 'pods' && b !== undefined && c === 'volumes' && d === 'kubernetes.io~csi' && e !== undefined) {
    const whole = parts.length === 5 || (parts.length === 6 && f === 'mount');
    return whole ? { kind: 'publish', podUid: b, specName: e } : undefined;
  }
  return undefined;
}
