import { join } from 'node:path';
import { driverFolderName } from './driver-name.js';

/** Where `mountdevice` mounts a volume once for the node. */
export function flexVolumeDeviceMountPath(kubeletRoot: string, driver: string, volumeName: string): string {
  return join(kubeletRoot, 'plugins', 'kubernetes.io', 'flexvolume', driver, 'mounts', volumeName);
}

/** Where `mount` mounts a volume for one pod. */
export function flexVolumePodPath(kubeletRoot: string, podUid: string, driver: string, volumeName: string): string {
  return join(kubeletRoot, 'pods', podUid, 'volumes', driverFolderName(driver), volumeName);
}
