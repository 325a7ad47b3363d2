import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../../base/errors.js';
import { type StateFile, writeFileAtomic } from '../../../base/atomic-file.js';
import { FifoLimit } from '../../../base/fifo-limit.js';
import type { ImageConfig } from './image-store.js';
import { mediaTypes, refNameAnnotation } from './oci-documents.js';

export interface BlobRecord {
  readonly digest: string;
  readonly size: number;
}

/** One image: what its documents say, the names it has, and what this machine did with it. */
export interface ImageRecord {
  /** Digest of the config. */
  readonly id: string;
  readonly manifest: BlobRecord & { readonly mediaType: string };
  readonly configBlob: BlobRecord;
  readonly layerBlobs: readonly BlobRecord[];
  /** Layer identities, bottom first. */
  readonly chainIds: readonly string[];
  readonly diffIds: readonly string[];
  /** `name:tag`, in full form. */
  readonly tags: readonly string[];
  /** `name@digest`, with the digest the registry knows it by. */
  readonly digests: readonly string[];
  readonly config: ImageConfig;
  readonly created: number | undefined;
  readonly pinned: boolean;
  /** Came from an archive: a registry may not have it. */
  readonly imported: boolean;
  readonly firstSeen: number;
  readonly lastUsed: number;
}

export type ImageDraft = Map<string, ImageRecord>;

/** Annotations of the layout's index that let the state file be rebuilt from it. */
export const indexAnnotations = {
  digests: 'io.berth.image.digests',
  pinned: 'io.berth.image.pinned',
  imported: 'io.berth.image.imported',
} as const;

/**
 * The list of images: in memory, in a state file, and as the `index.json` of the OCI layout, which other tools read and from
 * which the state file can be rebuilt. Changes are written before they are seen.
 */
export class ImageIndex {
  readonly #layout: string;
  readonly #file: StateFile<ImageRecord[]>;
  readonly #changes = new FifoLimit(1);
  readonly #used = new Map<string, number>();
  #images: ReadonlyMap<string, ImageRecord> = new Map();
  #unusable: readonly ImageRecord[] = [];
  #byName = new Map<string, string>();
  #byRegistryDigest = new Map<string, string>();

  constructor(layout: string, file: StateFile<ImageRecord[]>) {
    this.#layout = layout;
    this.#file = file;
  }

  /**
   * Takes what was read at the start. `unusable` images cannot be unpacked now (a full disk): they are not shown, but nothing of
   * them is forgotten or swept, and the next start tries again.
   */
  async load(records: readonly ImageRecord[], unusable: readonly ImageRecord[], write: boolean): Promise<void> {
    this.#unusable = unusable;
    const images = new Map(records.map((record) => [record.id, record]));
    if (write) await this.#write(images);
    this.#install(images);
  }

  get(id: string): ImageRecord | undefined {
    return this.#images.get(id);
  }

  all(): readonly ImageRecord[] {
    return [...this.#images.values()];
  }

  /** Everything whose blobs and layers are to be kept. */
  kept(): readonly ImageRecord[] {
    return [...this.#images.values(), ...this.#unusable];
  }

  /** By `name:tag` or `name@digest` in full form. */
  byName(name: string): ImageRecord | undefined {
    const id = this.#byName.get(name);
    return id === undefined ? undefined : this.#images.get(id);
  }

  /** By the digest a registry gave it under any name. */
  byRegistryDigest(digest: string): ImageRecord | undefined {
    const id = this.#byRegistryDigest.get(digest);
    return id === undefined ? undefined : this.#images.get(id);
  }

  /** Kept in memory until the next change is written. */
  markUsed(id: string, now: number): void {
    this.#used.set(id, now);
  }

  lastUsed(record: ImageRecord): number {
    return Math.max(record.lastUsed, this.#used.get(record.id) ?? 0);
  }

  /** One at a time; when `mutate` throws or the disk refuses, nothing has changed. */
  async change<T>(mutate: (draft: ImageDraft) => T, signal: AbortSignal): Promise<T> {
    return await this.#changes.run(async () => {
      const draft: ImageDraft = new Map(this.#images);
      const result = mutate(draft);
      for (const [id, record] of draft) {
        if (this.lastUsed(record) > record.lastUsed) draft.set(id, { ...record, lastUsed: this.lastUsed(record) });
      }
      await this.#write(draft);
      this.#install(draft);
      return result;
    }, signal);
  }

  async #write(images: ReadonlyMap<string, ImageRecord>): Promise<void> {
    // One that was pulled again since is whole now.
    const records = [...images.values(), ...this.#unusable.filter((record) => !images.has(record.id))];
    // The state file decides; the layout's index is first, so that a blob it names is never one the state has forgotten.
    await writeFileAtomic(join(this.#layout, 'index.json'), layoutIndex(records), { mode: 0o644 });
    await this.#file.write(records);
  }

  #install(images: ReadonlyMap<string, ImageRecord>): void {
    this.#images = images;
    this.#byName = new Map();
    this.#byRegistryDigest = new Map();
    for (const record of images.values()) {
      for (const name of [...record.tags, ...record.digests]) this.#byName.set(name, record.id);
      for (const digest of record.digests) this.#byRegistryDigest.set(digest.slice(digest.indexOf('@') + 1), record.id);
      this.#byRegistryDigest.set(record.manifest.digest, record.id);
    }
    for (const id of this.#used.keys()) if (!images.has(id)) this.#used.delete(id);
  }
}

/** The layout's `index.json`: one descriptor for each tag, one without name for an image that has none. */
function layoutIndex(records: readonly ImageRecord[]): string {
  const manifests = records.flatMap((record) => {
    const annotations = {
      ...(record.digests.length > 0 ? { [indexAnnotations.digests]: record.digests.join(' ') } : {}),
      ...(record.pinned ? { [indexAnnotations.pinned]: 'true' } : {}),
      ...(record.imported ? { [indexAnnotations.imported]: 'true' } : {}),
    };
    const descriptor = {
      mediaType: record.manifest.mediaType,
      digest: record.manifest.digest,
      size: record.manifest.size,
    };
    if (record.tags.length === 0) return [{ ...descriptor, annotations }];
    return record.tags.map((tag) => ({ ...descriptor, annotations: { ...annotations, [refNameAnnotation]: tag } }));
  });
  return `${JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests })}\n`;
}

/** Takes a name off whatever image has it. */
export function dropName(draft: ImageDraft, name: string): void {
  for (const [id, record] of draft) {
    if (!record.tags.includes(name)) continue;
    draft.set(id, { ...record, tags: record.tags.filter((tag) => tag !== name) });
  }
}

/** Makes an OCI layout folder when it is not there. */
export async function ensureLayout(layout: string): Promise<void> {
  await mkdir(join(layout, 'blobs', 'sha256'), { recursive: true, mode: 0o700 });
  const marker = join(layout, 'oci-layout');
  const content = '{"imageLayoutVersion":"1.0.0"}\n';
  const present = await readFile(marker, 'utf8').catch(() => undefined);
  if (present === content) return;
  // Without a marker it is a new layout, which has no image; one that lost its index is rebuilt from its blobs.
  if (present === undefined) {
    await writeFile(join(layout, 'index.json'), '{"schemaVersion":2,"manifests":[]}\n', { flag: 'wx' }).catch(
      (err: unknown) => {
        if (errnoOf(err) !== 'EEXIST') throw err;
      },
    );
  }
  await writeFile(marker, content);
}

export function parseImageRecords(data: unknown): ImageRecord[] {
  if (!Array.isArray(data)) throw new Error('not a list of images');
  for (const item of data as Array<Partial<ImageRecord> | null>) {
    if (
      typeof item?.id !== 'string' ||
      !Array.isArray(item.tags) ||
      !Array.isArray(item.digests) ||
      !Array.isArray(item.chainIds) ||
      !Array.isArray(item.layerBlobs) ||
      typeof item.manifest?.digest !== 'string' ||
      typeof item.configBlob?.digest !== 'string' ||
      typeof item.config !== 'object'
    ) {
      throw new Error('not an image record');
    }
  }
  return data as ImageRecord[];
}
