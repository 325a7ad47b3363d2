import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../../../base/clock.js';
import type { BlobFiles } from '../blob-files.js';
import { imageError, isImageFailure } from '../image-error.js';
import { dropName, type ImageIndex, type ImageRecord } from '../image-index.js';
import type { LayerRecord, LayerStore } from '../layers/layer-store.js';
import { chainIds, parseConfig, parseIndex, parseManifest, type Descriptor } from '../oci-documents.js';

export interface AdoptDeps {
  readonly blobs: BlobFiles;
  readonly layers: LayerStore;
  readonly index: ImageIndex;
  readonly clock: Clock;
}

export interface AdoptRequest {
  readonly what: string;
  readonly manifest: Descriptor;
  /** `name:tag`; moves here from another image. */
  readonly tags: readonly string[];
  readonly digests: readonly string[];
  readonly imported: boolean;
  readonly pinned: boolean;
}

/** The one manifest skopeo wrote into a throw-away layout whose blobs are ours. */
export async function copiedManifest(layout: string, what: string): Promise<Descriptor> {
  const [only] = parseIndex(await readFile(join(layout, 'index.json')), `${what} index`);
  if (only === undefined) throw imageError('manifest-invalid', `${what}: skopeo copied nothing`);
  return only;
}

/** Unpacks what an image needs; its blobs are in place. Nothing refers to it yet. */
export async function prepareImage(
  request: AdoptRequest,
  deps: AdoptDeps,
  signal: AbortSignal,
  onProgress?: (text: string) => void,
): Promise<ImageRecord> {
  const fresh = await readImage(request, deps);
  const unpacked: LayerRecord[] = [];
  for (const [at, chainId] of fresh.chainIds.entries()) {
    onProgress?.(`unpacking layer ${at + 1} of ${fresh.chainIds.length}`);
    unpacked.push(await unpack(request.what, fresh, at, chainId, unpacked, deps, signal));
  }
  return fresh;
}

/** Enters prepared images into the index, all or none. Names move here from other images. */
export async function enterImages(
  prepared: readonly ImageRecord[],
  deps: AdoptDeps,
  signal: AbortSignal,
): Promise<ImageRecord[]> {
  return await deps.index.change((draft) => {
    for (const fresh of prepared) {
      for (const tag of fresh.tags) dropName(draft, tag);
      const known = draft.get(fresh.id);
      draft.set(fresh.id, known === undefined ? fresh : merged(known, fresh));
    }
    return prepared.map((fresh) => draft.get(fresh.id) as ImageRecord);
  }, signal);
}

/** The same image once more: under another name, or from another place. */
function merged(known: ImageRecord, fresh: ImageRecord): ImageRecord {
  return {
    ...known,
    tags: union(known.tags, fresh.tags),
    digests: union(known.digests, fresh.digests),
    pinned: known.pinned || fresh.pinned,
    imported: known.imported && fresh.imported,
  };
}

/** Reads manifest and config and builds the record they make. */
export async function readImage(request: AdoptRequest, deps: AdoptDeps): Promise<ImageRecord> {
  const { what, manifest: descriptor } = request;
  const manifest = parseManifest(
    await deps.blobs.readDocument(descriptor.digest, `${what} manifest`),
    `${what} manifest`,
  );
  const configBytes = await deps.blobs.readDocument(manifest.config.digest, `${what} config`);
  const { config, diffIds, created } = parseConfig(configBytes, `${what} config`);
  if (diffIds.length !== manifest.layers.length) {
    throw imageError(
      'manifest-invalid',
      `${what}: its manifest has ${manifest.layers.length} layers and its config ${diffIds.length}`,
    );
  }
  const now = deps.clock.now();
  return {
    id: manifest.config.digest,
    manifest: { digest: descriptor.digest, size: descriptor.size, mediaType: descriptor.mediaType },
    configBlob: { digest: manifest.config.digest, size: manifest.config.size },
    layerBlobs: manifest.layers.map(({ digest, size }) => ({ digest, size })),
    chainIds: chainIds(diffIds),
    diffIds,
    tags: [...request.tags],
    digests: [...request.digests],
    config,
    created,
    pinned: request.pinned,
    imported: request.imported,
    firstSeen: now,
    lastUsed: now,
  };
}

async function unpack(
  what: string,
  image: ImageRecord,
  at: number,
  chainId: string,
  below: readonly LayerRecord[],
  deps: AdoptDeps,
  signal: AbortSignal,
): Promise<LayerRecord> {
  const { digest } = image.layerBlobs[at] as { digest: string };
  try {
    return await deps.layers.ensure(chainId, image.diffIds[at] as string, below, deps.blobs.path(digest), signal);
  } catch (err) {
    signal.throwIfAborted();
    // Kept, a damaged blob would be found again by the next pull instead of being fetched.
    if (isImageFailure(err, 'layer-invalid')) await deps.blobs.removeIfDamaged(digest);
    const subject = `${what}: layer ${at + 1} of ${image.chainIds.length}`;
    if (isImageFailure(err, 'layer-invalid')) throw imageError('layer-invalid', `${subject}: ${err.message}`, err);
    if (isImageFailure(err, 'disk-full')) throw imageError('disk-full', `${subject}: ${err.message}`, err);
    throw err;
  }
}

function union(a: readonly string[], b: readonly string[]): string[] {
  return [...new Set([...a, ...b])];
}
