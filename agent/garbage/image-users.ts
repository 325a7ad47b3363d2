import { criLabels, type ImageService, type RuntimeService } from '../../cri/index.js';
import { allContainers, podKey, type Pod } from '../api/index.js';
import type { ImageUsers } from './image-policy.js';

/**
 * Who uses which image: every container record, running or not, and every container and image volume of a pod that is wanted, which
 * would otherwise lose its image between the look for it and the start.
 */
export async function imageUsers(
  deps: { readonly runtime: RuntimeService; readonly images: ImageService; wantedPods(): readonly Pod[] },
  signal: AbortSignal,
): Promise<ImageUsers> {
  const users = new Map<string, string>();
  for (const [name, user] of imagesOfPods(deps.wantedPods())) {
    users.set(name, user);
    const { image } = await deps.images.imageStatus({ image: { image: name } }, signal);
    if (image?.id !== undefined) users.set(image.id, user);
  }
  const { containers = [] } = await deps.runtime.listContainers({}, signal);
  for (const { imageId, imageRef, image, labels = {}, state } of containers) {
    const pod = `${labels[criLabels.podNamespace] ?? ''}/${labels[criLabels.podName] ?? ''}`;
    const what = state === 'CONTAINER_RUNNING' ? 'container' : 'the ended container';
    const user = `${what} ${labels[criLabels.containerName] ?? ''} of pod ${pod}`;
    for (const name of [imageId, imageRef, image?.image]) if (name) users.set(name, user);
  }
  return users;
}

function imagesOfPods(pods: readonly Pod[]): Map<string, string> {
  const images = new Map<string, string>();
  for (const pod of pods) {
    for (const { container } of allContainers(pod))
      if (container.image) images.set(container.image, `container ${container.name} of pod ${podKey(pod)}`);
    for (const { name, image } of pod.spec?.volumes ?? [])
      if (image?.reference) images.set(image.reference, `volume ${name} of pod ${podKey(pod)}`);
  }
  return images;
}
