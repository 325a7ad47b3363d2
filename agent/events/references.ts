import type { ObjectReference, Pod, PodContainer } from '../api/index.js';

export function podReference(pod: Pod): ObjectReference {
  const { name, namespace, uid, resourceVersion } = pod.metadata ?? {};
  return { apiVersion: 'v1', kind: 'Pod', name, namespace, uid, resourceVersion };
}

/** `fieldPath` is `spec.containers{name}`, by which tools tell the containers of a pod apart. */
export function containerReference(pod: Pod, { path, container }: PodContainer): ObjectReference {
  return { ...podReference(pod), fieldPath: `${path.slice(0, path.indexOf('['))}{${container.name}}` };
}
