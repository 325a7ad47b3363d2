import { basename } from 'node:path';
import type { ImageIndex, ImageRecord } from './image-index.js';
import type { ImageDetails, ImageUsage, StoredImage } from './image-store.js';
import type { LayerRecord, LayerStore } from './layers/layer-store.js';

/** The image as the runtime sees it. */
export function storedImage(record: ImageRecord, layers: LayerStore): StoredImage {
  const unpacked = layersOf(record, layers);
  return {
    id: record.id,
    repoTags: record.tags,
    repoDigests: record.digests,
    sizeBytes: unpacked.reduce((sum, layer) => sum + layer.contentBytes, 0) + record.configBlob.size,
    pinned: record.pinned,
    config: record.config,
    lowerDirs: unpacked.map((layer) => layers.path(layer)).toReversed(),
  };
}

function layersOf(record: ImageRecord, layers: LayerStore): LayerRecord[] {
  return record.chainIds.flatMap((chainId) => layers.get(chainId) ?? []);
}

function blobsOf(record: ImageRecord): ReadonlyArray<{ digest: string; size: number }> {
  return [record.manifest, record.configBlob, ...record.layerBlobs];
}

/** Digests of everything an image is made of on disk. */
export function blobDigests(records: readonly ImageRecord[]): Set<string> {
  return new Set(records.flatMap((record) => blobsOf(record).map((blob) => blob.digest)));
}

/** Removes layers that no image needs and no container has mounted; returns how many. */
export async function removeUnusedLayers(
  index: ImageIndex,
  layers: LayerStore,
  mounted: ReadonlySet<string>,
): Promise<number> {
  const wanted = new Set(index.kept().flatMap((record) => record.chainIds));
  return await layers.removeUnless((layer) => {
    const path = layers.path(layer);
    return wanted.has(layer.chainId) || mounted.has(path) || mounted.has(basename(path));
  });
}

export function imageUsage(index: ImageIndex, layers: LayerStore, view: (r: ImageRecord) => StoredImage): ImageUsage {
  const records = index.all();
  const layerUsers = countUsers(records, (record) => record.chainIds);
  const blobUsers = countUsers(records, (record) => blobsOf(record).map((blob) => blob.digest));
  const blobSizes = new Map(
    records.flatMap((record) => blobsOf(record).map((blob) => [blob.digest, blob.size] as const)),
  );
  const all = [...layers.all()];
  const layerBytes = sum(all.map((layer) => layer.diskBytes));
  const blobBytes = sum(blobSizes.values());
  return {
    images: records.map((record) => details(record, index, layers, view, layerUsers, blobUsers)),
    totalBytes: layerBytes + blobBytes,
    layerBytes,
    blobBytes,
    inodes: sum(all.map((layer) => layer.inodes)) + blobSizes.size,
    unreferencedBytes: sum(all.filter((layer) => !layerUsers.has(layer.chainId)).map((layer) => layer.diskBytes)),
  };
}

function details(
  record: ImageRecord,
  index: ImageIndex,
  layers: LayerStore,
  view: (r: ImageRecord) => StoredImage,
  layerUsers: ReadonlyMap<string, number>,
  blobUsers: ReadonlyMap<string, number>,
): ImageDetails {
  const own = layersOf(record, layers).filter((layer) => layerUsers.get(layer.chainId) === 1);
  const ownBlobs = new Map(blobsOf(record).map((blob) => [blob.digest, blob.size]));
  for (const digest of ownBlobs.keys()) if (blobUsers.get(digest) !== 1) ownBlobs.delete(digest);
  return {
    ...view(record),
    manifestDigest: record.manifest.digest,
    uniqueBytes: sum(own.map((layer) => layer.diskBytes)) + sum(ownBlobs.values()),
    blobBytes: sum(new Map(blobsOf(record).map((blob) => [blob.digest, blob.size])).values()),
    layers: layersOf(record, layers).map((layer, at) => ({
      diffId: layer.diffId,
      chainId: layer.chainId,
      path: layers.path(layer),
      diskBytes: layer.diskBytes,
      blob: record.layerBlobs[at]?.digest ?? '',
      blobBytes: record.layerBlobs[at]?.size ?? 0,
    })),
    imported: record.imported,
    createdAt: record.created,
    firstSeen: record.firstSeen,
    lastUsed: index.lastUsed(record),
  };
}

/** How many images use each thing; a thing an image has twice counts once. */
function countUsers(
  records: readonly ImageRecord[],
  of: (record: ImageRecord) => readonly string[],
): Map<string, number> {
  const users = new Map<string, number>();
  for (const record of records) for (const key of new Set(of(record))) users.set(key, (users.get(key) ?? 0) + 1);
  return users;
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
