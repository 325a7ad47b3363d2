/** The status of a pod, derived from what is desired and what is seen. Pure. */
export { deriveStatus } from './derive-status.js';
export { sameStatus } from './same-status.js';
