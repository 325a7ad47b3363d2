export { openRemoteRuntime, type RemoteRuntimeDeps, type RemoteRuntimeOptions } from './open-remote-runtime.js';
export type { RemoteTimeouts } from './timeouts.js';
