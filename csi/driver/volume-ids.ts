import { createHash } from 'node:crypto';

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** The name of the VolumeAttachment, and the attachment's id in `vol_data.json`. */
export function attachmentId(volumeHandle: string, driver: string, nodeName: string): string {
  return `csi-${sha256(`${volumeHandle}${driver}${nodeName}`)}`;
}

/** The handle of an inline volume, which nobody created: one per pod and volume name. */
export function ephemeralHandle(podUid: string, volumeName: string): string {
  return `csi-${sha256(`${podUid}${volumeName}`)}`;
}

/** A name that is safe in the kubelet's paths and that the CSI specification allows. */
export function isCsiDriverName(name: string): boolean {
  return name.length <= 63 && /^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$/.test(name) && !name.includes('..');
}
