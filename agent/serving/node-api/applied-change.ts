import { canonicalJson, type Container, type KubeObject, type Pod } from '../../api/index.js';
import type { StoredObject } from '../../controlplane/local/object-store.js';

/** True when applying `wanted` would change nothing. What the store stamps on objects does not count. */
export function sameObject(stored: StoredObject, wanted: KubeObject): boolean {
  return canonicalJson(asWritten(stored)) === canonicalJson(asWritten(wanted));
}

function asWritten(object: StoredObject): unknown {
  const { metadata, ...rest } = object as StoredObject & { status?: unknown };
  const { uid: _uid, creationTimestamp: _created, resourceVersion: _version, ...written } = metadata ?? {};
  return { ...rest, metadata: written, status: undefined };
}

/**
 * The first field of the spec that differs and may not: what the Kubernetes API lets a pod change is its images, tolerations, deadline
 * and grace (validation of pod updates); resources have rules of their own (`resizeProblem`). Undefined when there is none.
 */
export function forbiddenPodChange(before: Pod, after: Pod): string | undefined {
  return firstDifference(fixedPart(before), fixedPart(after), 'spec');
}

function fixedPart(pod: Pod): unknown {
  const {
    activeDeadlineSeconds: _deadline,
    terminationGracePeriodSeconds: _grace,
    tolerations: _tolerations,
    resources: _resources,
    ...spec
  } = pod.spec ?? {
    containers: [],
  };
  const fixed = (containers: readonly Container[] | undefined): unknown =>
    containers?.map(({ image: _image, resources: _own, ...container }) => container);
  return {
    ...spec,
    containers: fixed(spec.containers),
    initContainers: fixed(spec.initContainers),
    ephemeralContainers: undefined,
  };
}

function firstDifference(a: unknown, b: unknown, path: string): string | undefined {
  if (canonicalJson(a) === canonicalJson(b)) return undefined;
  if (!isObject(a) || !isObject(b) || Array.isArray(a) !== Array.isArray(b)) return path;
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const place = Array.isArray(a) ? `${path}[${key}]` : `${path}.${key}`;
    const difference = firstDifference(a[key], b[key], place);
    if (difference !== undefined) return difference;
  }
  return path;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
