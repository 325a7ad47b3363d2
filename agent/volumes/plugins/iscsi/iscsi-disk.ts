import type { ISCSIPersistentVolumeSource } from '../../../api/index.js';
import type { PodVolume } from '../../volume-plugin.js';

/** One disk of an iSCSI target, and the ways to it. */
export interface IscsiDisk {
  readonly volume: string;
  readonly portals: readonly [string, ...string[]];
  readonly iqn: string;
  readonly lun: number;
  /** The interface whose settings are used, and the one that is logged in with: its own where the initiator has a name of its own. */
  readonly baseInterface: string;
  readonly interface: string;
  readonly initiatorName: string;
}

const defaultPort = 3260;

/** A PersistentVolume's source has all that one in a pod has. */
export type IscsiSource = ISCSIPersistentVolumeSource;

export function iscsiSource(origin: PodVolume['origin']): IscsiSource | undefined {
  return origin.kind === 'inline' ? origin.volume.iscsi : origin.persistentVolume.spec?.iscsi;
}

export function iscsiDisk(specName: string, source: IscsiSource): IscsiDisk {
  const { targetPortal, portals = [], iqn, lun, iscsiInterface = 'default', initiatorName = '' } = source;
  const first = withPort(targetPortal);
  const others = portals.map(withPort).filter((portal) => portal !== first);
  return {
    volume: specName,
    portals: [first, ...new Set(others)],
    iqn,
    lun,
    baseInterface: iscsiInterface,
    interface: initiatorName === '' ? iscsiInterface : `${first}:${specName}`,
    initiatorName,
  };
}

const withPort = (portal: string): string => (/:\d+$/.test(portal) ? portal : `${portal}:${defaultPort}`);

/** The disk's place below the plugin's folder, as the kubelet lays it. */
export function diskKey(disk: IscsiDisk, block: boolean): string {
  const folder = `iface-${disk.interface}/${disk.portals[0]}-${disk.iqn}-lun-${disk.lun}`;
  return block ? `volumeDevices/${folder}` : folder;
}

/** What a folder's name says, for one whose record is lost. */
export function diskOfKey(key: string): IscsiDisk | undefined {
  const [, iface, portal, iqn, lun] = /(?:^|\/)iface-([^/]+)\/(.+?)-((?:iqn|eui|naa)\..+)-lun-(\d+)$/.exec(key) ?? [];
  if (iface === undefined || portal === undefined || iqn === undefined) return undefined;
  const names = { interface: iface, baseInterface: iface, initiatorName: '' };
  return { volume: '', portals: [portal], iqn, lun: Number(lun), ...names };
}

/** The kubelet's `iscsi.json`. */
export function diskRecord(disk: IscsiDisk): string {
  return JSON.stringify({
    VolName: disk.volume,
    Portals: disk.portals,
    Iqn: disk.iqn,
    Lun: String(disk.lun),
    InitIface: disk.baseInterface,
    Iface: disk.interface,
    InitiatorName: disk.initiatorName,
  });
}

/** Undefined for what is no such record. */
export function parseDiskRecord(text: string): IscsiDisk | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = value as Partial<Record<string, unknown>>;
  const word = (name: string): string => (typeof fields[name] === 'string' ? fields[name] : '');
  const portals = Array.isArray(fields['Portals']) ? fields['Portals'].filter((one) => typeof one === 'string') : [];
  const [first, ...others] = portals;
  if (first === undefined || word('Iqn') === '' || !/^\d+$/.test(word('Lun'))) return undefined;
  return {
    volume: word('VolName'),
    portals: [first, ...others],
    iqn: word('Iqn'),
    lun: Number(word('Lun')),
    baseInterface: word('InitIface'),
    interface: word('Iface'),
    initiatorName: word('InitiatorName'),
  };
}
