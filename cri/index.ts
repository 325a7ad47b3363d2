export type * as v1 from '../proto/generated/cri-v1.js';
export type { RuntimeService } from './contract/runtime-service.js';
export type { ImageService, PullProgress } from './contract/image-service.js';
export type { ContainerIo, PortForwardTarget, StreamingService, TerminalSize } from './contract/streaming-service.js';
export type {
  SandboxNetwork,
  SandboxNetworkRequest,
  SandboxNetworkResult,
  SandboxPortMapping,
} from './contract/sandbox-network.js';
export type { CriRuntime } from './contract/runtime.js';
export { CriError, criError, isCriCode, unlessGone, type CriCode, type CriFailure } from './contract/cri-error.js';
export { tryParseReference, type ImageReference } from './contract/image-reference.js';
export { criAnnotations, criLabels } from './contract/labels.js';
