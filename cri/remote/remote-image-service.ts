import type * as v1 from '../../proto/generated/cri-v1.js';
import type { ImageService } from '../contract/image-service.js';
import type { CriClient } from './cri-client.js';
import { listInPieces } from './list-in-pieces.js';
import { recordObject, recordPull } from './recorded-request.js';
import { pieces } from './remote-runtime-service.js';
import type { RemoteTimeouts } from './timeouts.js';

/** CRI has no progress of pulls: `onProgress` is never called. */
export function remoteImageService(client: CriClient<v1.ImageServiceMethods>, timeouts: RemoteTimeouts): ImageService {
  const ordinary = { deadlineMs: timeouts.requestMs };
  return {
    listImages: async (r, s) => ({
      images: await listInPieces(
        'images',
        async () => (await client.call('listImages', r, ordinary, s)).images ?? [],
        () => pieces(client.stream('streamImages', r, timeouts.requestMs, s), (m) => m.images),
      ),
    }),
    imageStatus: (r, s) => client.call('imageStatus', r, ordinary, s),
    pullImage: (r, s) => client.call('pullImage', r, { deadlineMs: undefined, record: recordPull(r) }, s),
    removeImage: (r, s) => client.call('removeImage', r, { ...ordinary, record: recordObject(r.image?.image, r) }, s),
    imageFsInfo: (r, s) => client.call('imageFsInfo', r, ordinary, s),
  };
}
