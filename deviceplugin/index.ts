export { DevicePluginError, type DevicePluginFailure, type DevicePluginVerb } from './device-plugin-error.js';
export type { PluginHandler, PluginInfo } from './plugin-handler.js';
export { extendedResourceNameProblem, isExtendedResource } from './extended-resource-name.js';
export {
  DeviceManager,
  type ContainerDevice,
  type DeviceChange,
  type DeviceManagerDeps,
  type DeviceManagerOptions,
  type ResourceStatus,
} from './manager/device-manager.js';
export type { AllocatedDeviceStatus, AllocatedResourceStatus } from './manager/device-health.js';
export type { ResourceCapacity } from './devices/resource-table.js';
export type { AllocateResult, ContainerKind, ContainerRequest, PodAdmission } from './allocation/admission.js';
export type { DeviceWait } from './allocation/wait-for-plugin.js';
export { chooseDevices, type ChooseInput, type DeviceChoice } from './allocation/choose-devices.js';
export { topologyHints, type HintInput, type TopologyHint } from './allocation/topology-hints.js';
export type { ContainerDeviceOptions, DeviceMount, DeviceNodeMapping } from './allocation/container-options.js';
export type { PluginTimeouts } from './plugin/plugin-calls.js';
export type { HintsByResource } from './manager/manager-hints.js';
export { checkPools, poolProblems, type DevicePoolConfig, type PoolProblem } from './pools/pool-config.js';
export type { Device } from './devices/device.js';
export { ServedDevicePlugin, type DevicePlugin, type ServeOptions } from './serve/serve-device-plugin.js';
export {
  podResourcesSocket,
  servePodResources,
  type MemoryBlock,
  type PodResourcesFacts,
  type PodResourcesMethod,
  type PodResourcesOptions,
  type PodResourcesPod,
} from './pod-resources/pod-resources-server.js';
export { DraManager, type DraManagerDeps, type DraManagerOptions } from './dra/dra-manager.js';
export { DraError, type DraFailure, type DraVerb } from './dra/dra-error.js';
export {
  checkClaim,
  claimsOfContainer,
  claimsOfPod,
  type ClaimingContainer,
  type ClaimingPod,
  type ContainerClaim,
  type PodClaim,
  type ResourceClaim,
} from './dra/pod-claims.js';
export * from './cdi/index.js';
