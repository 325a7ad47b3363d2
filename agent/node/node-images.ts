import type { Image } from '../../proto/generated/cri-v1.js';
import type { ContainerImage } from '../api/index.js';

const mostNames = 5;

/** The largest images as the node object shows them, digests before tags; -1 shows all. */
export function nodeImages(images: readonly Image[], most: number): ContainerImage[] {
  const sorted = images
    .map((image): ContainerImage => ({
      names: [...(image.repoDigests ?? []), ...(image.repoTags ?? [])].slice(0, mostNames),
      sizeBytes: image.size ?? 0,
    }))
    .filter(({ names }) => (names?.length ?? 0) > 0)
    .sort((a, b) => (b.sizeBytes ?? 0) - (a.sizeBytes ?? 0));
  return most < 0 ? sorted : sorted.slice(0, most);
}
