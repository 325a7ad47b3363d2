import { posix } from 'node:path';
import { allContainers, type Pod } from '../api/index.js';
import type { Payload } from './atomic-writer.js';
import { resolveInside } from './fs/resolve-inside.js';
import { VolumeProblem } from './volume-error.js';
import type { PodVolume } from './volume-plugin.js';

/**
 * Folders that must be in a volume because a container mounts something below where it mounts the volume: the volume is read-only there, and
 * a runtime could not make them. Paths relative to the volume, outermost only.
 */
export function nestedMountPoints(pod: Pod, volume: string): string[] {
  const found = new Set<string>();
  for (const { container } of allContainers(pod)) {
    const all = (container.volumeMounts ?? []).map(({ mountPath }) => posix.normalize(mountPath).replace(/\/+$/, ''));
    const own = (container.volumeMounts ?? []).filter(({ name }) => name === volume);
    for (const { mountPath } of own) {
      const prefix = `${posix.normalize(mountPath).replace(/\/+$/, '')}/`;
      if (prefix.startsWith('../')) throw new VolumeProblem('refused', `invalid container mount point ${mountPath}`);
      const nested = all.filter((path) => path.startsWith(prefix));
      for (const path of nested) {
        if (!nested.some((outer) => path.startsWith(`${outer}/`))) found.add(path.slice(prefix.length));
      }
    }
  }
  return [...found];
}

export async function makeNestedMountPoints(
  volume: PodVolume,
  path: string,
  payload: Payload,
  signal: AbortSignal,
): Promise<void> {
  for (const nested of nestedMountPoints(volume.pod, volume.name)) {
    signal.throwIfAborted();
    // A file mounted over a file of the volume finds it there already.
    if (payload.has(nested)) continue;
    const made = await resolveInside(path, nested, { escape: 'refuse', create: true });
    await made?.close();
  }
}
