import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../../base/log.js';
import { errorText } from '../../../base/errors.js';
import { readImage, type AdoptDeps } from './transfer/adopt-image.js';
import { indexAnnotations, type ImageRecord } from './image-index.js';
import { mediaTypes, parseIndex, parseManifest, refNameAnnotation, type Descriptor } from './oci-documents.js';

/** Makes the records anew from the layout, when the state file is lost: from its index, or else from the blobs alone. */
export async function rebuildRecords(layout: string, deps: AdoptDeps, log: Logger): Promise<ImageRecord[]> {
  const records = new Map<string, ImageRecord>();
  for (const descriptor of (await layoutDescriptors(layout, log)) ?? (await manifestsAmongBlobs(deps))) {
    const { annotations = {} } = descriptor;
    const tag = annotations[refNameAnnotation];
    const request = {
      what: `rebuild ${tag ?? descriptor.digest}`,
      manifest: descriptor,
      tags: tag === undefined ? [] : [tag],
      digests: annotations[indexAnnotations.digests]?.split(' ') ?? [],
      pinned: annotations[indexAnnotations.pinned] === 'true',
      imported: annotations[indexAnnotations.imported] === 'true',
    };
    try {
      const record = await readImage(request, deps);
      const known = records.get(record.id);
      records.set(record.id, known === undefined ? record : { ...known, tags: [...known.tags, ...record.tags] });
    } catch (err) {
      log.warn({ image: tag ?? descriptor.digest, reason: errorText(err) }, 'image lost: its blobs cannot be read');
    }
  }
  return [...records.values()];
}

async function layoutDescriptors(layout: string, log: Logger): Promise<readonly Descriptor[] | undefined> {
  try {
    return parseIndex(await readFile(join(layout, 'index.json')), 'index.json');
  } catch (err) {
    log.warn(
      { reason: errorText(err) },
      'index of the image layout cannot be read; images are found without their names',
    );
    return undefined;
  }
}

/** Every blob that is a manifest whose parts are there. */
async function manifestsAmongBlobs(deps: AdoptDeps): Promise<Descriptor[]> {
  const digests = await deps.blobs.list();
  const present = new Set(digests);
  const found: Descriptor[] = [];
  for (const digest of digests) {
    try {
      const bytes = await readFile(deps.blobs.path(digest), { encoding: null });
      if (bytes.length > 1024 * 1024 || bytes[0] !== 0x7b) continue;
      const manifest = parseManifest(bytes, digest);
      if (![manifest.config, ...manifest.layers].every((blob) => present.has(blob.digest))) continue;
      found.push({ mediaType: mediaTypes.manifest, digest, size: bytes.length });
    } catch {
      continue; // not a manifest
    }
  }
  return found;
}
