export { BusctlLogind } from './busctl-logind.js';
export type { Logind, ShutdownWatch } from './logind.js';
export { nodeToldOfShutdown } from './node-told.js';
export { NodeShutdown, type NodeShutdownDeps } from './node-shutdown.js';
export { groupPods, shutdownGroups, type ShutdownGroup, type ShutdownSettings } from './shutdown-groups.js';
