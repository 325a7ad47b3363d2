import { CriError, type ImageService } from '../../cri/index.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import { StepError } from '../executors/step-error.js';

export interface PresentImagesDeps {
  readonly clock: Pick<Clock, 'now'>;
  readonly images: Pick<ImageService, 'imageStatus'>;
}

/**
 * How long an image that was seen counts as present. A burst of pods of one image then asks a few times, not once a pod; an image that is
 * removed within this second fails a container's creation, whose next try asks again.
 */
const freshMs = 1000;

/** Which images the runtime has. */
export class PresentImages {
  readonly #deps: PresentImagesDeps;
  readonly #seen = new Map<string, { readonly id: string; readonly at: number }>();

  constructor(deps: PresentImagesDeps) {
    this.#deps = deps;
  }

  /** Id of the image that a reference names; undefined when the runtime has none. Throws `StepError` with the kubelet's reasons. */
  async find(reference: string, signal: AbortSignal): Promise<string | undefined> {
    const { clock, images } = this.#deps;
    const seen = this.#seen.get(reference);
    if (seen && clock.now() - seen.at < freshMs) return seen.id;
    this.#seen.delete(reference);
    const asked = clock.now();
    const { image } = await images.imageStatus({ image: { image: reference } }, signal).catch((err: unknown) => {
      signal.throwIfAborted();
      const invalid = err instanceof CriError && err.failure.code === 'invalid-argument';
      const reason = invalid ? 'InvalidImageName' : 'ImageInspectError';
      throw new StepError(reason, `inspect image "${reference}": ${errorText(err)}`, err);
    });
    if (image?.id === undefined) return undefined;
    this.#seen.set(reference, { id: image.id, at: asked });
    return image.id;
  }
}
