import type { ImageSpec } from '../../../proto/generated/cri-v1.js';
import type { Pod, Volume } from '../../api/index.js';
import { VolumeProblem } from '../volume-error.js';
import type { PodVolume, PublishedVolume, PublishRequest, VolumePlugin } from '../volume-plugin.js';

/** Makes the image present by its pull policy, with the pod's credentials, and says how the runtime calls it. */
export type PullVolumeImage = (pod: Pod, volume: Volume, signal: AbortSignal) => Promise<ImageSpec>;

/** The files of an image, read-only; the runtime mounts them itself. */
export class ImagePlugin implements VolumePlugin {
  readonly name = 'kubernetes.io/image';
  readonly hasFolder = false;
  readonly deletesContent = false;
  readonly #pull: PullVolumeImage | undefined;

  constructor(pull: PullVolumeImage | undefined) {
    this.#pull = pull;
  }

  supports({ volume }: PodVolume['origin']): boolean {
    return volume.image !== undefined;
  }

  async publish({ volume, before }: PublishRequest, signal: AbortSignal): Promise<PublishedVolume> {
    const source = volume.origin.volume.image;
    if (!source?.reference) throw new VolumeProblem('refused', 'an image volume must name its image');
    if (!this.#pull) throw new VolumeProblem('unsupported', 'this runtime mounts no images');
    return before ?? { image: await this.#pull(volume.pod, volume.origin.volume, signal), readOnly: true };
  }
}
