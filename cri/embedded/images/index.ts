export { openImageStore } from './open-image-store.js';
export type {
  ArchiveFormat,
  ImageConfig,
  ImageDetails,
  ImageLookup,
  ImageStore,
  ImageStoreDeps,
  ImageStoreOptions,
  ImageUsage,
  ImportOptions,
  StoredImage,
} from './image-store.js';
export type { RegistryAccess } from './transfer/skopeo.js';
export { ImageError, isImageFailure, type ImageFailure, type ImageFailureReason } from './image-error.js';
export { parseReference, referenceText, tryParseReference, type ImageReference } from './reference.js';
export { makeImageArchive, type ImageLayerSource, type MakeImageOptions } from './make-image.js';
export { makeBusyboxRootfs, type BusyboxRootfsOptions } from './busybox-rootfs.js';
