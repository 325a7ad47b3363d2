export {
  FlexVolumeError,
  flexVolumeVerbs,
  type FlexVolumeEnd,
  type FlexVolumeFailure,
  type FlexVolumeVerb,
} from './failure.js';
export { defaultCapabilities, type FlexVolumeCapabilities } from './driver-answer.js';
export {
  FlexVolumeDriver,
  type FlexVolumeDriverDeps,
  type FlexVolumeDriverOptions,
  type FlexVolumeDriverState,
  type FlexVolumeDriverStatus,
  type Supported,
} from './flexvolume-driver.js';
export {
  FlexVolumeRegistry,
  defaultFlexVolumeFolder,
  type FlexVolumeRegistryDeps,
  type FlexVolumeRegistryOptions,
} from './flexvolume-registry.js';
export { driverFolderName, driverNameOfFolder, driverProgram, isDriverName } from './driver-name.js';
export { flexVolumeDeviceMountPath, flexVolumePodPath } from './flexvolume-paths.js';
export {
  isFlexVolumeSecret,
  optionsJson,
  type FlexVolumeMountOptions,
  type FlexVolumeOptions,
} from './volume-options.js';
