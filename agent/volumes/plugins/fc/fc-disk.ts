import type { FCVolumeSource } from '../../../api/index.js';
import { VolumeProblem } from '../../volume-error.js';

/** How a Fibre Channel disk is known: by the ports it is reached through and its number there, or by names of its own. */
export type FcDisk =
  | { readonly by: 'ports'; readonly wwns: readonly string[]; readonly lun: number }
  | { readonly by: 'names'; readonly wwids: readonly string[] };

export function fcDisk({ targetWWNs = [], lun, wwids = [] }: FCVolumeSource): FcDisk {
  const words = [...targetWWNs, ...wwids];
  if (words.some((word) => word.includes('/') || word.startsWith('.')))
    throw new VolumeProblem('refused', `fc: "${words.join('", "')}": a name of a port or disk holds no path`);
  if (targetWWNs.length > 0 && lun !== undefined) return { by: 'ports', wwns: targetWWNs, lun };
  if (wwids.length > 0) return { by: 'names', wwids };
  throw new VolumeProblem(
    'refused',
    'fc: no fc disk information found: either targetWWNs and lun, or wwids are needed',
  );
}

/** The disk's place below the plugin's folder, as the kubelet lays it. */
export function fcKey(disk: FcDisk, block: boolean): string {
  const name = disk.by === 'ports' ? `${disk.wwns.join('-')}-lun-${disk.lun}` : disk.wwids.join('-');
  return block ? `volumeDevices/${name}` : name;
}

/** What a folder's name says. */
export function fcDiskOfKey(key: string): FcDisk {
  const parts = (key.split('/').at(-1) ?? '').split('-');
  const lun = parts.at(-1) ?? '';
  if (parts.length > 2 && parts.at(-2) === 'lun' && /^\d+$/.test(lun))
    return { by: 'ports', wwns: parts.slice(0, -2), lun: Number(lun) };
  return { by: 'names', wwids: parts };
}

/** Which of udev's links lead to the disk. */
export function fcLinks(
  disk: FcDisk,
  listings: { readonly byPath: readonly string[]; readonly byId: readonly string[] },
): { readonly folder: 'by-path' | 'by-id'; readonly name: string }[] {
  if (disk.by === 'names') {
    const wanted = new Set(disk.wwids.map((wwid) => `scsi-${wwid.replaceAll(' ', '_')}`));
    return listings.byId.filter((name) => wanted.has(name)).map((name) => ({ folder: 'by-id', name }));
  }
  const ends = disk.wwns.map((wwn) => `fc-0x${wwn.replace(/^0x/, '')}-lun-${disk.lun}`);
  return listings.byPath
    .filter((name) => ends.some((end) => name === end || (name.startsWith('pci-') && name.endsWith(`-${end}`))))
    .map((name) => ({ folder: 'by-path', name }));
}
