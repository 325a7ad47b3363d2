import type * as v1 from '../../proto/generated/cri-v1.js';

export interface PullProgress {
  readonly image: string;
  /** Words for a person: "copying blob 3 of 5". */
  readonly text: string;
}

/**
 * CRI v1 `ImageService`. An image is named by reference (tag or digest) or by its id (the digest of its config). Removal of one
 * that is not there is a success; `imageStatus` of one answers without `image`.
 */
export interface ImageService {
  listImages(request: v1.ListImagesRequest, signal: AbortSignal): Promise<v1.ListImagesResponse>;
  imageStatus(request: v1.ImageStatusRequest, signal: AbortSignal): Promise<v1.ImageStatusResponse>;
  /** No deadline of its own. `imageRef` of the answer is the id to create containers with. */
  pullImage(
    request: v1.PullImageRequest,
    signal: AbortSignal,
    onProgress?: (progress: PullProgress) => void,
  ): Promise<v1.PullImageResponse>;
  removeImage(request: v1.RemoveImageRequest, signal: AbortSignal): Promise<v1.RemoveImageResponse>;
  imageFsInfo(request: v1.ImageFsInfoRequest, signal: AbortSignal): Promise<v1.ImageFsInfoResponse>;
}
