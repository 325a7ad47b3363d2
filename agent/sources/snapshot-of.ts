import type { KubeObject, Pod, PodSourceName } from '../api/index.js';
import type { HeldObject } from './manifest-contents.js';
import type { SourceSnapshot } from './pod-source.js';

export function snapshotOf(source: PodSourceName, held: readonly HeldObject[]): SourceSnapshot {
  const pods: Pod[] = [];
  const objects: KubeObject[] = [];
  for (const { object } of held) {
    if (object.kind === 'Pod') pods.push(object);
    else objects.push(object);
  }
  return { source, pods, objects };
}
