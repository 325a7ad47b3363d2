import { fallbackMode, secretPayload } from '../payload/keyed-payload.js';
import type { MemoryMount, PodVolume, PublishRequest, PublishedVolume, VolumePlugin } from '../volume-plugin.js';
import { publishContent, type ContentVolumeDeps } from './content-volume.js';
import { tmpfsFor } from './empty-dir.js';

/** The keys of a Secret as files, in memory only. */
export class SecretPlugin implements VolumePlugin {
  readonly name = 'kubernetes.io/secret';
  readonly hasFolder = true;
  readonly deletesContent = true;
  readonly #deps: ContentVolumeDeps;

  constructor(deps: ContentVolumeDeps) {
    this.#deps = deps;
  }

  supports({ volume }: PodVolume['origin']): boolean {
    return volume.secret !== undefined;
  }

  memory({ pod }: PodVolume): MemoryMount {
    return tmpfsFor(pod, undefined, this.#deps.memory);
  }

  async publish(request: PublishRequest, signal: AbortSignal): Promise<PublishedVolume> {
    const { pod, origin } = request.volume;
    const { secretName = '', items, optional, defaultMode = fallbackMode } = origin.volume.secret ?? {};
    const collect = async () => ({
      payload: secretPayload(
        { items, optional, defaultMode },
        secretName,
        await this.#deps.sources.secret(pod, secretName, signal),
      ),
    });
    return await publishContent(request, collect, this.#deps, signal);
  }
}
