/**
 * Kubernetes objects as the agent sees them: their types, exact quantities, defaults and questions asked of pods. What
 * checks objects (YAML, the schema, validation) takes 70 ms to load and is loaded on the first use: `loadManifestReader`.
 */
import type { ManifestReader } from './manifest.js';

export type * from './generated/types.js';
export type { ManifestEntry, ObjectIdentity } from './decoding/decode.js';
export type { ManifestReader } from './manifest.js';
export * from './canonical-json.js';
export { defaultObject, defaultSecret } from './default-objects.js';
export { defaultPod, defaultPullPolicy } from './default-pod.js';
export { matchesLabels } from './label-selector.js';
export { matchesNodeSelector, type NodeIdentity } from './node-selector.js';
export * from './object-scope.js';
export * from './pod-containers.js';
export * from './pod-identity.js';
export * from './pod-phase.js';
export * from './pod-resources.js';
export * from './problem.js';
export * from './quantity.js';
export * from './volume-sources.js';

export async function loadManifestReader(): Promise<ManifestReader> {
  const { ManifestReader } = await import('./manifest.js');
  return new ManifestReader();
}
