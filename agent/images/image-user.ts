import type { ImageService } from '../../cri/index.js';
import type { ImageUser } from '../containers/security-context.js';

/** Images whose user is remembered; what a node runs at one time is far less. */
const mostImages = 1000;

/** The users that images run as when the pod names none. An image's id names its content, so what was answered once stays true. */
export class ImageUserLookup {
  readonly #images: ImageService;
  readonly #known = new Map<string, ImageUser>();

  constructor(images: ImageService) {
    this.#images = images;
  }

  async of(imageId: string, signal: AbortSignal): Promise<ImageUser> {
    const known = this.#known.get(imageId);
    if (known) return known;
    const { image } = await this.#images.imageStatus({ image: { image: imageId } }, signal);
    const user = { uid: image?.uid?.value, username: image?.username ?? '' };
    if (image?.id !== imageId) return user;
    if (this.#known.size >= mostImages) this.#known.clear();
    this.#known.set(imageId, user);
    return user;
  }
}
