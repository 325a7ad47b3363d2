import { statfsSync } from 'node:fs';
import type { LayerFilesystem } from './container-metrics.js';

export function layerFilesystem(folder: string): LayerFilesystem | undefined {
  try {
    const { blocks, bsize, files, ffree } = statfsSync(folder);
    return { bytes: blocks * bsize, inodes: files, inodesFree: ffree };
  } catch {
    // Nothing else in the answer hangs on it.
    return undefined;
  }
}
