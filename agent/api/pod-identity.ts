import type { Branded } from '../../base/brand.js';
import type { ObjectMeta, Pod } from './generated/types.js';

export type PodUid = Branded<'PodUid'>;

/** Annotations the agent stamps on pods; the kubelet's names, which log shippers and CNI plugins read. */
export const podAnnotations = {
  /** Where the pod came from: `file`, `http` or `api`. */
  source: 'kubernetes.io/config.source',
  /** RFC 3339 time at which the agent first saw the pod. */
  seen: 'kubernetes.io/config.seen',
  /** Identity of a static pod's content. */
  hash: 'kubernetes.io/config.hash',
  /** On the API server's copy of a static pod: the hash of what it mirrors. */
  mirror: 'kubernetes.io/config.mirror',
} as const;

export type PodSourceName = 'file' | 'http' | 'api';

/** Pods at or above this priority are critical. */
export const systemCriticalPriority = 2_000_000_000;

/** What the helpers need of an object; every Kubernetes object has it. */
export interface HasMetadata {
  readonly metadata?: ObjectMeta | undefined;
}

/** `namespace/name`, the form people read and type. */
export function podKey(pod: HasMetadata): string {
  return `${pod.metadata?.namespace ?? 'default'}/${pod.metadata?.name ?? ''}`;
}

/** `name_namespace`, the form the kubelet uses in metrics, log paths and duplicate checks. */
export function podFullName(pod: HasMetadata): string {
  return `${pod.metadata?.name ?? ''}_${pod.metadata?.namespace ?? 'default'}`;
}

export function podUidOf(pod: HasMetadata): PodUid {
  return (pod.metadata?.uid ?? '') as PodUid;
}

/** The source stamped on the pod, undefined when none is. */
export function podSourceOf(pod: HasMetadata): PodSourceName | undefined {
  const source = pod.metadata?.annotations?.[podAnnotations.source];
  return source === 'file' || source === 'http' || source === 'api' ? source : undefined;
}

/** True for the API server's copy of a static pod. */
export function isMirrorPod(pod: HasMetadata): boolean {
  return pod.metadata?.annotations?.[podAnnotations.mirror] !== undefined;
}

/** True for a pod that a file or a URL gave; the API server cannot delete it. */
export function isStaticPod(pod: HasMetadata): boolean {
  const source = podSourceOf(pod);
  return source === 'file' || source === 'http';
}

/** Critical pods are never evicted and may push others out. */
export function isCriticalPod(pod: Pod): boolean {
  return isStaticPod(pod) || isMirrorPod(pod) || (pod.spec?.priority ?? 0) >= systemCriticalPriority;
}
