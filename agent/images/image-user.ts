import type { ImageService } from '../../cri/index.js';
import type { ImageUser } from '../containers/security-context.js';

/** The user an image runs as when the pod names none. */
export async function imageUser(images: ImageService, imageId: string, signal: AbortSignal): Promise<ImageUser> {
  const { image } = await images.imageStatus({ image: { image: imageId } }, signal);
  const uid = image?.uid?.value;
  return { uid, username: image?.username ?? '' };
}
