import { createHash } from 'node:crypto';
import type { CallSubject } from '../../../base/call-recorder.js';
import { errorText } from '../../../base/errors.js';
import { isAbortOf, linkSignal } from '../../../base/signals.js';
import type { Logger } from '../../../base/log.js';
import type { PullProgress } from '../../contract/image-service.js';
import { CriError, criError } from '../../contract/cri-error.js';
import type * as v1 from '../../../proto/generated/cri-v1.js';
import { exportArchive } from './transfer/export-image.js';
import { IdleSweep } from './idle-sweep.js';
import { ImageError, imageError, type ImageFailureReason } from './image-error.js';
import { dropName, type ImageRecord } from './image-index.js';
import type { ArchiveFormat, ImageStore, ImageUsage, ImportOptions, StoredImage } from './image-store.js';
import { blobDigests, imageUsage, removeUnusedLayers, storedImage } from './image-usage.js';
import { importArchive, importFromDocker, type ImportDeps } from './transfer/import-image.js';
import { JoinedWork } from './joined-work.js';
import { pullImage, type PullOptions, type PullRequest } from './transfer/pull-image.js';
import { parseReference, referenceText, tryParseReference } from './reference.js';
import { toCriImage, verboseInfo } from './cri-image.js';

export interface EmbeddedImageStoreOptions extends PullOptions {
  /** What `imageFsInfo` names. */
  readonly mountpoint: string;
  readonly runtimeHandlers?: readonly string[] | undefined;
}

export interface EmbeddedImageStoreDeps extends ImportDeps {
  readonly log: Logger;
  readonly layersInUse?: (() => ReadonlySet<string>) | undefined;
}

/** Longer than the longest pause between two tries of a pod, which is five minutes. */
const keptForRetryMs = 15 * 60_000;

/** The same pull may succeed later, with what has come so far. A full disk is not among them: it needs the room. */
const passing: ReadonlySet<ImageFailureReason> = new Set([
  'registry-unavailable',
  'registry-untrusted',
  'timed-out',
  'unauthorized',
  'failed',
]);

const mayGoOn = (err: unknown): boolean => err instanceof ImageError && passing.has(err.failure.reason);

/** See `ImageStore`; made by `openImageStore`. */
export class EmbeddedImageStore implements ImageStore {
  readonly #options: EmbeddedImageStoreOptions;
  readonly #deps: EmbeddedImageStoreDeps;
  readonly #pulls = new JoinedWork<ImageRecord, PullProgress>();
  readonly #idle: IdleSweep;
  readonly #closing = new AbortController();
  /** Counts pulls that may be taken up again. */
  #lastFailure = 0;
  /** One object for each record, so that a lookup makes nothing. */
  readonly #views = new WeakMap<ImageRecord, StoredImage>();

  constructor(options: EmbeddedImageStoreOptions, deps: EmbeddedImageStoreDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#idle = new IdleSweep(() => this.#sweep());
  }

  find(reference: string): StoredImage | undefined {
    const record = this.#lookup(reference);
    if (record === undefined) return undefined;
    this.#deps.index.markUsed(record.id, this.#deps.clock.now());
    return this.#view(record);
  }

  async listImages(request: v1.ListImagesRequest): Promise<v1.ListImagesResponse> {
    const wanted = request.filter?.image?.image;
    const only = wanted ? this.#lookup(wanted) : undefined;
    const records = wanted ? (only === undefined ? [] : [only]) : this.#deps.index.all();
    return { images: records.map((record) => toCriImage(this.#view(record))) };
  }

  async imageStatus(request: v1.ImageStatusRequest): Promise<v1.ImageStatusResponse> {
    const name = request.image?.image;
    if (!name) throw criError('invalid-argument', 'image status: no image given');
    const record = this.#lookup(name);
    if (record === undefined) return {};
    const image = toCriImage(this.#view(record));
    if (request.verbose !== true) return { image };
    const details = this.usage().images.find((one) => one.id === record.id);
    return { image, info: verboseInfo(record, details) };
  }

  async pullImage(
    request: v1.PullImageRequest,
    signal: AbortSignal,
    onProgress?: (progress: PullProgress) => void,
  ): Promise<v1.PullImageResponse> {
    const reference = parseReference(request.image?.image ?? '');
    const image = referenceText(reference);
    this.#checkHandler(request.image?.runtimeHandler ?? '', image);
    const pod = request.sandboxConfig?.metadata;
    const subject: CallSubject = { object: image, podUid: pod?.uid, podName: pod?.name, podNamespace: pod?.namespace };
    const { auth } = request;
    // Other credentials may get another answer: only the very same question is joined.
    const key = `${image} ${createHash('sha256')
      .update(JSON.stringify(auth ?? null))
      .digest('hex')}`;
    const record = await this.#guard(`pull ${image}`, signal, async (guarded) =>
      this.#pulls.run(
        key,
        async (pullSignal, report) =>
          await this.#pull({ reference, auth, subject }, pullSignal, (text) => report({ image, text })),
        guarded,
        onProgress,
      ),
    );
    return { imageRef: record.id };
  }

  async removeImage(request: v1.RemoveImageRequest, signal: AbortSignal): Promise<v1.RemoveImageResponse> {
    const name = request.image?.image;
    if (!name) throw criError('invalid-argument', 'remove image: no image given');
    const record = this.#lookup(name);
    if (record === undefined) return {};
    await this.#guard(`remove image ${name}`, signal, async (guarded) => {
      // All names go, as with containerd: the agent removes by any of them and means the image.
      await this.#deps.index.change((draft) => draft.delete(record.id), guarded);
      await this.#idle.request();
    });
    return {};
  }

  async imageFsInfo(): Promise<v1.ImageFsInfoResponse> {
    const { totalBytes, inodes } = this.usage();
    const filesystem: v1.FilesystemUsage = {
      timestamp: this.#deps.clock.now() * 1_000_000,
      fsId: { mountpoint: this.#options.mountpoint },
      usedBytes: { value: totalBytes },
      inodesUsed: { value: inodes },
    };
    return { imageFilesystems: [filesystem], containerFilesystems: [filesystem] };
  }

  async importArchive(path: string, options: ImportOptions, signal: AbortSignal): Promise<readonly StoredImage[]> {
    const records = await this.#import(`import ${path}`, signal, async (guarded) =>
      importArchive(path, options, this.#deps, guarded),
    );
    return records.map((record) => this.#view(record));
  }

  async importFromDocker(name: string, options: ImportOptions, signal: AbortSignal): Promise<StoredImage> {
    const [record] = await this.#import(`import ${name} from Docker`, signal, async (guarded) => [
      await importFromDocker(name, options, this.#deps, guarded),
    ]);
    return this.#view(record);
  }

  async exportArchive(reference: string, path: string, format: ArchiveFormat, signal: AbortSignal): Promise<void> {
    await this.#guard(`export ${reference}`, signal, async (guarded) =>
      this.#idle.during(async () => {
        await exportArchive(this.#need(reference, 'export'), path, format, this.#deps, guarded);
      }, guarded),
    );
  }

  async tag(reference: string, name: string, signal: AbortSignal): Promise<void> {
    const parsed = parseReference(name);
    if (parsed.digest !== undefined)
      throw imageError('name-invalid', `tag ${reference} as ${name}: a digest is no tag`);
    const tag = referenceText(parsed);
    await this.#deps.index.change((draft) => {
      const { id } = this.#need(reference, 'tag');
      dropName(draft, tag);
      const record = draft.get(id) as ImageRecord;
      draft.set(id, { ...record, tags: [...record.tags, tag] });
    }, signal);
  }

  async untag(name: string, signal: AbortSignal): Promise<void> {
    const tag = referenceText(parseReference(name));
    await this.#deps.index.change((draft) => {
      const record = this.#need(name, 'untag');
      draft.set(record.id, {
        ...record,
        tags: record.tags.filter((one) => one !== tag),
        digests: record.digests.filter((one) => one !== tag),
      });
    }, signal);
  }

  async pin(reference: string, pinned: boolean, signal: AbortSignal): Promise<void> {
    await this.#deps.index.change((draft) => {
      const record = this.#need(reference, 'pin');
      draft.set(record.id, { ...record, pinned });
    }, signal);
  }

  usage(): ImageUsage {
    return imageUsage(this.#deps.index, this.#deps.layers, (record) => this.#view(record));
  }

  async sweep(): Promise<void> {
    await this.#idle.request();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const reason = criError('cancelled', 'the image store is closing');
    this.#closing.abort(reason);
    await this.#pulls.stop(reason);
    await this.#idle.settled();
  }

  /** Every handler has the same images; one that is unknown is refused all the same, as the interface has it. */
  #checkHandler(handler: string, image: string): void {
    const { runtimeHandlers } = this.#options;
    if (handler === '' || runtimeHandlers === undefined || runtimeHandlers.includes(handler)) return;
    throw criError('invalid-argument', `pull ${image}: there is no runtime handler ${JSON.stringify(handler)}`);
  }

  #lookup(reference: string): ImageRecord | undefined {
    const { index } = this.#deps;
    if (reference.startsWith('sha256:')) return index.get(reference) ?? this.#byShortId(reference.slice(7));
    const parsed = tryParseReference(reference);
    const named = parsed === undefined ? undefined : index.byName(referenceText(parsed));
    if (named !== undefined) return named;
    return index.get(`sha256:${reference}`) ?? this.#byShortId(reference);
  }

  /** At least as long as what people type; a shorter one, or one that two images share, is nobody's. */
  #byShortId(prefix: string): ImageRecord | undefined {
    if (!/^[0-9a-f]{3,63}$/.test(prefix)) return undefined;
    const matches = this.#deps.index.all().filter((record) => record.id.startsWith(`sha256:${prefix}`));
    return matches.length === 1 ? matches[0] : undefined;
  }

  #need(reference: string, verb: string): ImageRecord {
    const record = this.#lookup(reference);
    if (record === undefined) throw imageError('not-found', `${verb} ${reference}: there is no such image here`);
    return record;
  }

  #view(record: ImageRecord): StoredImage {
    const known = this.#views.get(record);
    if (known !== undefined) return known;
    const view = storedImage(record, this.#deps.layers);
    this.#views.set(record, view);
    return view;
  }

  /**
   * What a pull has fetched when the registry lets it down is there for the next try; of one that was cancelled, or that fails again
   * however often it is tried, nothing stays.
   */
  async #pull(request: PullRequest, signal: AbortSignal, report: (text: string) => void): Promise<ImageRecord> {
    try {
      return await this.#idle.during(async () => pullImage(request, this.#options, this.#deps, signal, report), signal);
    } catch (err) {
      if (this.#closing.signal.aborted) throw err;
      if (!signal.aborted && mayGoOn(err)) void this.#sweepUnlessTakenUp();
      else await this.#idle.request();
      throw err;
    }
  }

  /** Whoever wanted the image may have given it up. */
  async #sweepUnlessTakenUp(): Promise<void> {
    const failure = ++this.#lastFailure;
    try {
      await this.#deps.clock.sleep(keptForRetryMs, this.#closing.signal);
    } catch {
      return; // the store is closing
    }
    if (failure === this.#lastFailure) await this.#idle.request();
  }

  /** After a failed import nothing stays, not even blobs. */
  async #import<T>(what: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    try {
      return await this.#guard(what, signal, async (guarded) => this.#idle.during(async () => work(guarded), guarded));
    } catch (err) {
      await this.#idle.request();
      throw err;
    }
  }

  /** Ends with the store, and lets out no errors but those of the contract. */
  async #guard<T>(what: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    using linked = linkSignal(signal);
    const onClose = (): void => linked.abort(this.#closing.signal.reason);
    if (this.#closing.signal.aborted) onClose();
    this.#closing.signal.addEventListener('abort', onClose, { once: true });
    try {
      return await work(linked.signal);
    } catch (err) {
      if (err instanceof CriError || isAbortOf(err, linked.signal)) throw err;
      const reason = errorText(err).includes('ENOSPC') ? 'disk-full' : 'failed';
      throw imageError(reason, `${what}: ${errorText(err)}`, err);
    } finally {
      this.#closing.signal.removeEventListener('abort', onClose);
    }
  }

  async #sweep(): Promise<void> {
    const { index, layers, blobs, log, layersInUse } = this.#deps;
    try {
      const layersRemoved = await removeUnusedLayers(index, layers, layersInUse?.() ?? new Set());
      const blobsRemoved = await blobs.removeUnless(blobDigests(index.kept()));
      if (layersRemoved + blobsRemoved > 0) log.info({ layersRemoved, blobsRemoved }, 'unused image data removed');
    } catch (err) {
      log.warn({ err }, 'unused image data could not be removed; tried again after the next removal');
    }
  }
}
