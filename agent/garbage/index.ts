export { ContainerCollector, type ContainerCollectorDeps } from './container-collector.js';
export { defaultContainerPolicy, type ContainerPolicy, type PodLife } from './container-policy.js';
export {
  ImageCollector,
  imagePolicyProblem,
  type ImageCollectorDeps,
  type ImageVerdict,
  type KnownImage,
  type RemovedImages,
} from './image-collector.js';
export { defaultImagePolicy, type ImageFact, type ImagePolicy, type ImageUsers } from './image-policy.js';
export { imageUsers } from './image-users.js';
export { type LogRotationPolicy } from './log-rotation-plan.js';
export { LogRotator, type RunningLog } from './log-rotator.js';
export { sweepLogs } from './log-sweeper.js';
export { openGarbage, type Garbage, type GarbagePolicies } from './open-garbage.js';
