export { openWhenAsked } from './open-when-asked.js';
export { openDockerRuntime } from './open-docker-runtime.js';
export type { DockerRuntimeDeps, DockerRuntimeOptions } from './options.js';
