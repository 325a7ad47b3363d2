import type { VolumeOrigin } from './volume-plugin.js';

/** The kubelet's words for what it does with volumes, in `storage_operation_duration_seconds`. */
export type StorageOperation =
  | 'volume_attach'
  | 'volume_detach'
  | 'volume_mount_device'
  | 'unmount_device'
  | 'volume_mount'
  | 'volume_unmount'
  | 'map_volume'
  | 'unmap_volume'
  | 'volume_fs_resize'
  /** From when the pod came with the volume, until it is mounted. */
  | 'overall_volume_mount'
  /** How full a volume is; the plugin is then how it was measured. */
  | 'volume_metric_collection';

export type CountOperation = (operation: StorageOperation, plugin: string, seconds: number, failed: boolean) => void;

/** The kubelet's word for what makes a volume: CSI drivers are told apart. */
export function countedName(plugin: string, origin: VolumeOrigin): string {
  const driver = csiDriverOf(origin);
  return driver === undefined ? plugin : `${plugin}:${driver}`;
}

/** The driver of a CSI volume. */
export const csiDriverOf = (origin: VolumeOrigin): string | undefined =>
  (origin.kind === 'persistent' ? origin.persistentVolume.spec : origin.volume)?.csi?.driver;

/** Does the work and counts it. */
export async function counted<T>(
  count: CountOperation,
  operation: StorageOperation,
  plugin: string,
  work: () => Promise<T>,
): Promise<T> {
  const began = performance.now();
  let failed = true;
  try {
    const result = await work();
    failed = false;
    return result;
  } finally {
    count(operation, plugin, (performance.now() - began) / 1000, failed);
  }
}
