export type * as v1 from '../../proto/generated/csi-v1.js';
export { CsiError, isInUse, isInfeasible, type CsiFailure } from './csi-error.js';
export type { CsiCapabilities } from './csi-capabilities.js';
export {
  CsiDrivers,
  type CsiDriver,
  type CsiDriverInfo,
  type CsiDriverState,
  type CsiDriversDeps,
  type CsiDriversOptions,
} from './csi-drivers.js';
export {
  type CsiVolumeStats,
  type NodeClient,
  type NodeExpandRequest,
  type NodeInfo,
  type PublishRequest,
  type StageRequest,
  type VolumeAmount,
} from './node-client.js';
export { type ControllerClient, type CreateVolumeArgs, type CreatedVolume } from './controller-client.js';
export {
  csiBlockPaths,
  csiDataFolder,
  csiPublishPath,
  csiStagingPath,
  parseCsiPath,
  type CsiBlockPaths,
  type CsiPlace,
} from './csi-paths.js';
export { attachmentId, ephemeralHandle, isCsiDriverName } from './volume-ids.js';
export {
  readVolumeData,
  removeVolumeFolder,
  volumeDataFile,
  writeVolumeData,
  type CsiVolumeData,
  type FolderRemoval,
} from './volume-data.js';
export { recoverVolumeData, type KnownVolume, type RecoveryHints } from './recover-volume-data.js';
export { csiAccessMode, volumeCapability, type CsiVolumeUse, type KubernetesAccessMode } from './volume-capability.js';
export { decideFsGroup, type FsGroupDecision, type FsGroupPolicy, type FsGroupQuestion } from './fs-group.js';
export {
  publishVolumeContext,
  type CsiPodInfo,
  type CsiTokens,
  type PublishContextQuestion,
} from './volume-context.js';
