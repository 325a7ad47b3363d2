import { projectedPayload } from '../payload/projected-payload.js';
import type { MemoryMount, PodVolume, PublishRequest, PublishedVolume, VolumePlugin } from '../volume-plugin.js';
import { publishContent, type ContentVolumeDeps } from './content-volume.js';
import { tmpfsFor } from './empty-dir.js';

/** Several sources in one folder, in memory only: tokens of the pod's service account among them. */
export class ProjectedPlugin implements VolumePlugin {
  readonly name = 'kubernetes.io/projected';
  readonly hasFolder = true;
  readonly deletesContent = true;
  readonly #deps: ContentVolumeDeps;

  constructor(deps: ContentVolumeDeps) {
    this.#deps = deps;
  }

  supports({ volume }: PodVolume['origin']): boolean {
    return volume.projected !== undefined;
  }

  memory({ pod }: PodVolume): MemoryMount {
    return tmpfsFor(pod, undefined, this.#deps.memory);
  }

  async publish(request: PublishRequest, signal: AbortSignal): Promise<PublishedVolume> {
    const { volume } = request;
    const source = volume.origin.volume.projected ?? {};
    const collect = () => projectedPayload(volume, source, this.#deps.sources, signal);
    return await publishContent(request, collect, this.#deps, signal);
  }
}
