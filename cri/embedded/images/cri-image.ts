import type * as v1 from '../../../proto/generated/cri-v1.js';
import type { ImageRecord } from './image-index.js';
import type { ImageDetails, StoredImage } from './image-store.js';

/** An image in CRI's words. The user is a number or a name, never both; a group is not told. */
export function toCriImage(image: StoredImage): v1.Image {
  const user = image.config.user.split(':')[0] ?? '';
  const isNumber = /^\d+$/.test(user);
  return {
    id: image.id,
    repoTags: image.repoTags,
    repoDigests: image.repoDigests,
    size: image.sizeBytes,
    ...(isNumber ? { uid: { value: Number(user) } } : {}),
    username: isNumber ? '' : user,
    spec: { image: image.id },
    pinned: image.pinned,
  };
}

/** What `crictl inspecti` prints: one JSON document under `info`. */
export function verboseInfo(record: ImageRecord, details: ImageDetails | undefined): Readonly<Record<string, string>> {
  const { config } = record;
  const info = {
    chainID: record.chainIds.at(-1) ?? '',
    imageSpec: {
      created: record.created === undefined ? undefined : new Date(record.created).toISOString(),
      config: {
        User: config.user,
        Env: config.env,
        Entrypoint: config.entrypoint,
        Cmd: config.cmd,
        WorkingDir: config.workingDir,
        Volumes: Object.fromEntries(config.volumes.map((volume) => [volume, {}])),
        Labels: config.labels,
        StopSignal: config.stopSignal,
      },
      rootfs: { type: 'layers', diff_ids: record.diffIds },
    },
    manifestDigest: record.manifest.digest,
    layers: details?.layers ?? [],
    uniqueBytes: details?.uniqueBytes,
    imported: record.imported,
    firstSeen: new Date(record.firstSeen).toISOString(),
  };
  return { info: JSON.stringify(info) };
}
