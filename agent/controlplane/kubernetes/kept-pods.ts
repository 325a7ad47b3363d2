import { isMirrorPod, podUidOf, type Pod } from '../../api/index.js';
import { same } from '../../status/same-status.js';
import type { LastKnown } from './last-known.js';
import type { PodCache } from './pod-cache.js';
import { podReferences } from './pod-references.js';

export interface KeptPodsDeps {
  readonly cache: Pick<PodCache, 'get' | 'all'>;
  readonly lastKnown: Pick<LastKnown, 'get' | 'put' | 'remove' | 'keys'>;
}

/** Kinds of which only what pods use is kept on disk. */
const referencedKinds = ['ConfigMap/', 'Secret/', 'PersistentVolumeClaim/'];

/** The copy of the node's pods on disk: follows the cache, one pod at a time. */
export class KeptPods {
  readonly #deps: KeptPodsDeps;

  constructor(deps: KeptPodsDeps) {
    this.#deps = deps;
  }

  /** A pod as the cache has it now. */
  put(changed: Pod): void {
    const { cache, lastKnown } = this.#deps;
    const pod = cache.get(podUidOf(changed));
    if (!pod || isMirrorPod(pod)) return;
    const key = keyOf(pod);
    if (worthKeeping(lastKnown.get(key) as Pod | undefined, pod)) lastKnown.put(key, pod);
  }

  /** With what it alone used. */
  remove(pod: Pod): void {
    const { cache, lastKnown } = this.#deps;
    lastKnown.remove(keyOf(pod));
    const left = podReferences(pod);
    for (const other of left.size > 0 ? cache.all() : []) for (const used of podReferences(other)) left.delete(used);
    for (const key of left) lastKnown.remove(key);
  }

  /** The cache has another set of pods: what none of them is or uses goes. */
  replaceAll(): void {
    const { cache, lastKnown } = this.#deps;
    const pods = cache.all();
    for (const pod of pods) this.put(pod);
    const wanted = new Set(pods.flatMap((pod) => [keyOf(pod), ...podReferences(pod)]));
    for (const prefix of ['Pod/', ...referencedKinds])
      for (const key of lastKnown.keys(prefix)) if (!wanted.has(key)) lastKnown.remove(key);
  }
}

const keyOf = (pod: Pod): string => `Pod/${podUidOf(pod)}`;

/** Status writes are many and mostly the node's own; the disk only needs what decides whether and how the pod runs. */
function worthKeeping(stored: Pod | undefined, pod: Pod): boolean {
  return stored === undefined || !same(decisive(stored), decisive(pod));
}

function decisive({ metadata, spec, status }: Pod): unknown {
  const { resourceVersion: _, ...named } = metadata ?? {};
  return [named, spec, status?.phase, status?.startTime];
}
