import type { KubeObject, Pod, PodSourceName } from '../api/index.js';
import type { HeldObject } from './manifest-contents.js';
import type { SourceSnapshot } from './pod-source.js';

/** Of two objects with one name the first counts; two such pods are both given on, so that the second is told of. */
export function snapshotOf(source: PodSourceName, held: readonly HeldObject[], partial = false): SourceSnapshot {
  const pods: Pod[] = [];
  const objects: KubeObject[] = [];
  const keys = new Set<string>();
  for (const { key, object } of held) {
    if (object.kind === 'Pod') pods.push(object);
    else if (!keys.has(key)) objects.push(object);
    keys.add(key);
  }
  return { source, pods, objects, partial };
}
