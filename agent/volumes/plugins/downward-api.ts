import { downwardPayload } from '../payload/downward-payload.js';
import { fallbackMode } from '../payload/keyed-payload.js';
import type { MemoryMount, PodVolume, PublishRequest, PublishedVolume, VolumePlugin } from '../volume-plugin.js';
import { publishContent, type ContentVolumeDeps } from './content-volume.js';
import { tmpfsFor } from './empty-dir.js';

/** Fields of the pod as files. */
export class DownwardApiPlugin implements VolumePlugin {
  readonly name = 'kubernetes.io/downward-api';
  readonly hasFolder = true;
  readonly deletesContent = true;
  readonly #deps: ContentVolumeDeps;

  constructor(deps: ContentVolumeDeps) {
    this.#deps = deps;
  }

  supports({ volume }: PodVolume['origin']): boolean {
    return volume.downwardAPI !== undefined;
  }

  memory({ pod }: PodVolume): MemoryMount {
    return tmpfsFor(pod, undefined, this.#deps.memory);
  }

  async publish(request: PublishRequest, signal: AbortSignal): Promise<PublishedVolume> {
    const { pod, origin } = request.volume;
    const { items = [], defaultMode = fallbackMode } = origin.volume.downwardAPI ?? {};
    const collect = () => Promise.resolve({ payload: downwardPayload(pod, items, defaultMode, this.#deps.sources) });
    return await publishContent(request, collect, this.#deps, signal);
  }
}
