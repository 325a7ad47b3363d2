import { podFullName, podKey, type KubeObject, type Pod, type PodSourceName } from '../api/index.js';
import type { SourceSnapshot } from './pod-source.js';

export interface MergedSources {
  /** Oldest first, then as the sources gave them; each UID once. */
  readonly pods: readonly Pod[];
  readonly objects: readonly KubeObject[];
  /** False while a source has not delivered all it has: until then, absence of a pod means nothing and nothing may be removed. */
  readonly allSynced: boolean;
  /** The sources that have not delivered yet, or only a part. */
  readonly waitingFor: readonly PodSourceName[];
  /** Pods that were left out, for an event `FailedValidation` on each. */
  readonly ignored: ReadonlyArray<{ readonly pod: Pod; readonly source: PodSourceName; readonly message: string }>;
}

/**
 * Joins the newest full sets of all configured sources. Of two pods with one full name in one source the first counts; of
 * two with one UID that of the source named first.
 */
export function mergeSources(
  configured: readonly PodSourceName[],
  latest: ReadonlyMap<PodSourceName, SourceSnapshot>,
): MergedSources {
  const byUid = new Map<string, Pod>();
  const ignored: Array<MergedSources['ignored'][number]> = [];
  const objects: KubeObject[] = [];
  for (const source of configured) {
    const snapshot = latest.get(source);
    if (snapshot === undefined) continue;
    objects.push(...snapshot.objects);
    const names = new Set<string>();
    for (const pod of snapshot.pods) {
      const name = podFullName(pod);
      const uid = pod.metadata?.uid ?? '';
      if (names.has(name)) {
        ignored.push({
          pod,
          source,
          message: `Duplicate pod name ${podKey(pod)} in source ${source}; the first one counts`,
        });
      } else if (byUid.has(uid)) {
        ignored.push({
          pod,
          source,
          message: `Pod ${podKey(pod)} has the UID ${uid} of another pod; the first one counts`,
        });
      } else {
        byUid.set(uid, pod);
      }
      names.add(name);
    }
  }
  const waitingFor = configured.filter((source) => latest.get(source)?.partial ?? !latest.has(source));
  const pods = [...byUid.values()].toSorted((a, b) => created(a) - created(b));
  return { pods, objects, allSynced: waitingFor.length === 0, waitingFor, ignored };
}

/** Static pods have no creation time and come first. */
function created(pod: Pod): number {
  const time = Date.parse(pod.metadata?.creationTimestamp ?? '');
  return Number.isNaN(time) ? 0 : time;
}
