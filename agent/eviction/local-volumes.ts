import type { Pod } from '../api/index.js';
import type { PodFilesystems } from '../stats/index.js';

/**
 * What the pod's volumes take of the node's own disk: that of a claim or a driver is elsewhere, one in memory counts as memory. The
 * same kinds as the kubelet counts.
 */
export function localVolumes(pod: Pod, { volumes }: PodFilesystems): PodFilesystems['volumes'] {
  const local = new Set(
    (pod.spec?.volumes ?? [])
      .filter(({ emptyDir, configMap, gitRepo }) =>
        emptyDir ? (emptyDir.medium ?? '') === '' : configMap !== undefined || gitRepo !== undefined,
      )
      .map(({ name }) => name),
  );
  return volumes.filter(({ volume }) => local.has(volume));
}
