export { CdiError, type CdiFailure } from './cdi-error.js';
export { CdiCache, defaultCdiFolders, type CdiCacheDeps, type CdiCacheOptions, type CdiProblem } from './cdi-cache.js';
export { applyContainerEdits } from './apply-edits.js';
export type { CdiSpec, ContainerEdits } from './cdi-spec.js';
export { parseQualifiedName, type QualifiedName } from './qualified-name.js';
export {
  resolveEdits,
  type HostNode,
  type ResolvedDeviceNode,
  type ResolvedEdits,
  type StatDevice,
} from './resolved-edits.js';
export type { OciDevice, OciDeviceRule, OciHook, OciMount, OciSpec } from './oci-spec.js';
