/** The kubelet's own configuration file, and berth's settings in its second document. */
export { parseGoDuration } from './durations.js';
export { decodeFields, type ConfigProblem } from './decode-fields.js';
export type { ObjectOf } from './field-types.js';
export { berthFields, kubeletFields } from './fields.js';
export { withoutGoZeros } from './go-zeros.js';
export { idleGiven, namedAfterFlags, overlayFlags, runtimeCgroupsFlag } from './kubelet-flags.js';
export { withDefaults, type KubeletConfiguration } from './kubelet-configuration.js';
export { ConfigError, readDocuments, type ConfigFailure } from './read-documents.js';
export { validateKubelet } from './validate.js';
