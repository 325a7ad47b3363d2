export {
  embeddedRuntimeDefaults,
  type ApplyCdi,
  type EmbeddedRuntimeDeps,
  type EmbeddedRuntimeOptions,
  type RuntimeStep,
} from './options.js';
export { ensureVolatileFolder } from './host/run-dir.js';
export { mountedLayers } from './host/mounted-layers.js';
export { openEmbeddedRuntime, type OpenedRuntime } from './open-runtime.js';
export type { OciDevice, OciHook, OciMount, OciSpec } from './oci-spec/oci-types.js';
export type { ImageConfig, ImageLookup, StoredImage } from './images/image-store.js';
