import type { CallSubject } from '../../../../base/call-recorder.js';
import { errnoOf } from '../../../../base/errors.js';
import { access } from 'node:fs/promises';
import type * as v1 from '../../../../proto/generated/cri-v1.js';
import { copiedManifest, enterImages, prepareImage, type AdoptDeps } from './adopt-image.js';
import { imageError, isImageFailure } from '../image-error.js';
import type { ImageRecord } from '../image-index.js';
import { mediaTypes, parseManifest, parseJsonObject, sha256 } from '../oci-documents.js';
import { referenceText, type ImageReference } from '../reference.js';
import { RegistryLogin } from './registry-login.js';
import type { Skopeo } from './skopeo.js';
import { watchCopy } from './watch-copy.js';
import { WorkFolder } from './work-folder.js';

export interface PullRequest {
  readonly reference: ImageReference;
  readonly auth: v1.AuthConfig | null | undefined;
  readonly subject: CallSubject;
}

export interface PullDeps extends AdoptDeps {
  readonly skopeo: Skopeo;
  readonly workDir: string;
}

export interface PullOptions {
  readonly authFile?: string | undefined;
  readonly secretsDir?: string | undefined;
  readonly resolveTimeoutMs: number;
  readonly stallTimeoutMs: number;
  readonly progressEveryMs: number;
}

/**
 * First asks the registry what the reference is (always, also for an image that is here: its answer is what lets these credentials have
 * the image), then copies exactly that digest, so that a tag that moves meanwhile mixes nothing up.
 */
export async function pullImage(
  request: PullRequest,
  options: PullOptions,
  deps: PullDeps,
  signal: AbortSignal,
  onProgress: (text: string) => void,
): Promise<ImageRecord> {
  const { reference, subject } = request;
  const name = referenceText(reference);
  const what = `pull ${name}`;
  await using login = await RegistryLogin.open(reference, request.auth, {
    secretsDir: options.secretsDir,
    fallbackFile: options.authFile,
  });
  const registry = { domain: reference.domain, login };
  onProgress('asking the registry');
  const call = { what, subject };
  const question = { ...call, timeoutMs: options.resolveTimeoutMs };
  const { raw, reached } = await deps.skopeo.inspectRaw(name, registry, question, signal);
  const digest = registryDigest(raw, reference, what);
  const naming = {
    what,
    tags: reference.digest === undefined ? [name] : [],
    digests: [`${reference.name}@${digest}`],
    imported: false,
    pinned: false,
  };
  const present = deps.index.byRegistryDigest(digest);
  if (present !== undefined) {
    try {
      return await enter(await prepareImage({ ...naming, manifest: present.manifest }, deps, signal), deps, signal);
    } catch (err) {
      // A blob that was damaged on disk is fetched again.
      if (!isImageFailure(err, 'manifest-invalid') && !isImageFailure(err, 'layer-invalid')) throw err;
    }
  }

  await using work = await WorkFolder.open(deps.workDir, 'pull');
  const layout = await work.folder('layout');
  const tmpDir = await work.folder('tmp');
  await watchCopy(
    {
      what,
      partsDir: work.path,
      expected: expectedLayers(raw),
      isComplete: async (layer) => await exists(deps.blobs.path(layer)),
      stallTimeoutMs: options.stallTimeoutMs,
      pollMs: options.progressEveryMs,
    },
    async (copySignal) => {
      const flags = ['--dest-shared-blob-dir', deps.blobs.dir, '--dest-oci-accept-uncompressed-layers'];
      const source = `docker://${reference.name}@${digest}`;
      await deps.skopeo.copy(
        { source, destination: `oci:${layout}`, registry: reached, tmpDir, flags },
        call,
        copySignal,
      );
    },
    signal,
    onProgress,
  );
  const manifest = await copiedManifest(layout, what);
  return await enter(await prepareImage({ ...naming, manifest }, deps, signal, onProgress), deps, signal);
}

async function enter(image: ImageRecord, deps: PullDeps, signal: AbortSignal): Promise<ImageRecord> {
  const [entered] = await enterImages([image], deps, signal);
  return entered as ImageRecord;
}

/** The digest the registry knows the answer by. */
function registryDigest(raw: Buffer, reference: ImageReference, what: string): string {
  const document = parseJsonObject(raw, `${what}: manifest`);
  if (document['schemaVersion'] !== 2) {
    throw imageError('manifest-invalid', `${what}: manifests of schema version 1 are not supported`);
  }
  const digest = sha256(raw);
  if (reference.digest === undefined || reference.digest === digest) return digest;
  if (!reference.digest.startsWith('sha256:')) return reference.digest;
  throw imageError('manifest-invalid', `${what}: the registry sent a manifest with digest ${digest}`);
}

/** Layers with their sizes; none for an index, of which skopeo picks this machine's image. */
function expectedLayers(raw: Buffer): ReadonlyArray<{ digest: string; size: number }> {
  const { mediaType, manifests } = parseJsonObject(raw, 'manifest');
  if (mediaType === mediaTypes.index || mediaType === mediaTypes.dockerList || Array.isArray(manifests)) return [];
  try {
    return parseManifest(raw, 'manifest').layers;
  } catch (err) {
    if (isImageFailure(err, 'manifest-invalid')) return []; // skopeo says it with more words
    throw err;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return false;
    throw err;
  }
}
