import { configMapPayload, fallbackMode } from '../payload/keyed-payload.js';
import type { PodVolume, PublishRequest, PublishedVolume, VolumePlugin } from '../volume-plugin.js';
import { publishContent, type ContentVolumeDeps } from './content-volume.js';

/** The keys of a ConfigMap as files, on disk. */
export class ConfigMapPlugin implements VolumePlugin {
  readonly name = 'kubernetes.io/configmap';
  readonly hasFolder = true;
  readonly deletesContent = true;
  readonly #deps: ContentVolumeDeps;

  constructor(deps: ContentVolumeDeps) {
    this.#deps = deps;
  }

  supports({ volume }: PodVolume['origin']): boolean {
    return volume.configMap !== undefined;
  }

  async publish(request: PublishRequest, signal: AbortSignal): Promise<PublishedVolume> {
    const { pod, origin } = request.volume;
    const { name = '', items, optional, defaultMode = fallbackMode } = origin.volume.configMap ?? {};
    const collect = async () => ({
      payload: configMapPayload(
        { items, optional, defaultMode },
        name,
        await this.#deps.sources.configMap(pod, name, signal),
      ),
    });
    return await publishContent(request, collect, this.#deps, signal);
  }
}
