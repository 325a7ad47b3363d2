import type { Pod } from '../api/index.js';
import { localVolumeNames, type PodFilesystems } from '../stats/index.js';

/** What the pod's volumes take of the node's own disk. */
export function localVolumes(pod: Pod, { volumes }: PodFilesystems): PodFilesystems['volumes'] {
  const local = localVolumeNames(pod);
  return volumes.filter(({ volume }) => local.has(volume));
}
