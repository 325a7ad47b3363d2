import type { Pod } from '../api/index.js';

/**
 * The volumes that take of the node's own disk and go with the pod: one of a claim or a driver is elsewhere, one in memory counts as memory.
 * The same kinds as the kubelet counts.
 */
export function localVolumeNames(pod: Pod): ReadonlySet<string> {
  return new Set(
    (pod.spec?.volumes ?? [])
      .filter(({ emptyDir, configMap, gitRepo }) =>
        emptyDir ? (emptyDir.medium ?? '') === '' : configMap !== undefined || gitRepo !== undefined,
      )
      .map(({ name }) => name),
  );
}
