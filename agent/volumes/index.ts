/** Volumes of pods: the manager, the contract of its plugins, and what cleans up after pods that are gone. */
export type { ContainerVolumes, VolumeDevice, VolumeManager, VolumeUsage } from './volume-manager.js';
export { VolumeError, VolumeProblem, type VolumeFailure, type VolumeProblemCode } from './volume-error.js';
export type {
  FoundStage,
  FoundVolume,
  MemoryMount,
  NodeStage,
  PodVolume,
  PublishedVolume,
  PublishRequest,
  VolumeOrigin,
  VolumePlugin,
} from './volume-plugin.js';
export { VolumePaths } from './volume-paths.js';
export {
  openVolumeManager,
  type OpenVolumeManager,
  type VolumeManagerDeps,
  type VolumeManagerOptions,
} from './open-volume-manager.js';
export { unsweptMessage } from './manager.js';
