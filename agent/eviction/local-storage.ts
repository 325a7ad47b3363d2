import { allContainers, podLimits, quantityValue, type Pod } from '../api/index.js';
import type { FilesystemLayout, PodFilesystems } from '../stats/index.js';
import { localVolumes } from './local-volumes.js';

export interface StorageProblem {
  /** The kubelet's word for it in its metrics. */
  readonly what: 'emptydirfs.limit' | 'ephemeralpodfs.limit' | 'ephemeralcontainerfs.limit';
  /** In the kubelet's words. */
  readonly message: string;
}

/** Why the pod uses more local storage than it may, whatever the node has left; undefined when it does not (facts 4.4). */
export function localStorageProblem(
  pod: Pod,
  used: PodFilesystems,
  layout: FilesystemLayout,
): StorageProblem | undefined {
  const found = (what: StorageProblem['what'], message: string | undefined): StorageProblem | undefined =>
    message === undefined ? undefined : { what, message };
  return (
    found('emptydirfs.limit', emptyDirProblem(pod, used)) ??
    found('ephemeralpodfs.limit', podProblem(pod, used)) ??
    found('ephemeralcontainerfs.limit', containerProblem(pod, used, layout))
  );
}

/** Whether the pod sets any limit this is about: all others need not be measured. */
export function hasStorageLimits(pod: Pod): boolean {
  const volumes = (pod.spec?.volumes ?? []).some(({ emptyDir }) => emptyDir?.sizeLimit !== undefined);
  return (
    volumes ||
    allContainers(pod).some(({ container }) => container.resources?.limits?.['ephemeral-storage'] !== undefined)
  );
}

function emptyDirProblem(pod: Pod, { volumes }: PodFilesystems): string | undefined {
  for (const { name, emptyDir } of pod.spec?.volumes ?? []) {
    if (emptyDir?.sizeLimit === undefined) continue;
    const limit = quantityValue(emptyDir.sizeLimit);
    const usage = volumes.find(({ volume }) => volume === name)?.usedBytes ?? 0;
    if (limit > 0 && usage > limit)
      return `Usage of EmptyDir volume "${name}" exceeds the limit "${emptyDir.sizeLimit}". `;
  }
  return undefined;
}

function podProblem(pod: Pod, used: PodFilesystems): string | undefined {
  const limit = podLimits(pod)['ephemeral-storage'];
  if (limit === undefined) return undefined;
  const parts = [...used.rootfs.values(), ...used.logs.values(), ...localVolumes(pod, used)];
  const total = parts.reduce((sum, { usedBytes }) => sum + usedBytes, 0);
  return total > quantityValue(limit)
    ? `Pod ephemeral local storage usage exceeds the total limit of containers ${limit}. `
    : undefined;
}

/** Of a container's own limit, its writable layer counts only where all is on one disk, as in the kubelet. */
function containerProblem(pod: Pod, { rootfs, logs }: PodFilesystems, layout: FilesystemLayout): string | undefined {
  for (const container of pod.spec?.containers ?? []) {
    const limit = container.resources?.limits?.['ephemeral-storage'];
    const bytes = quantityValue(limit ?? '0');
    if (bytes === 0) continue;
    const { name } = container;
    const layer = layout === 'one' ? (rootfs.get(name)?.usedBytes ?? 0) : 0;
    if (layer + (logs.get(name)?.usedBytes ?? 0) > bytes)
      return `Container ${name} exceeded its local ephemeral storage limit "${limit}". `;
  }
  return undefined;
}
