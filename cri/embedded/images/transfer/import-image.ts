import { lstat, realpath, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { CallSubject } from '../../../../base/call-recorder.js';
import { describeEnd, programSucceeded } from '../../../../base/run-program.js';
import { copiedManifest, enterImages, prepareImage } from './adopt-image.js';
import { readArchiveContent, type ArchiveContent, type ReadArchiveDeps } from './archive-content.js';
import { imageError, ImageError, type ImageFailureReason } from '../image-error.js';
import type { ImageRecord } from '../image-index.js';
import type { ImportOptions } from '../image-store.js';
import type { Descriptor } from '../oci-documents.js';
import type { PullDeps } from './pull-image.js';
import { parseReference, referenceText } from '../reference.js';
import { WorkFolder } from './work-folder.js';

export type ImportDeps = PullDeps & ReadArchiveDeps;

interface Source {
  readonly transport: string;
  readonly flags: readonly string[];
  readonly tags: readonly string[];
}

const extractTimeoutMs = 30 * 60_000;

/** Imports every image of an archive, or none. */
export async function importArchive(
  path: string,
  options: ImportOptions,
  deps: ImportDeps,
  signal: AbortSignal,
): Promise<ImageRecord[]> {
  const what = `import ${path}`;
  const content = await readArchiveContent(path, deps, signal);
  if (options.reference !== undefined && content.images.length > 1) {
    throw imageError('name-invalid', `${what}: it holds ${content.images.length} images, one name is not enough`);
  }
  await using work = await WorkFolder.open(deps.workDir, 'import');
  const copied: Array<{ manifest: Descriptor; tags: readonly string[] }> = [];
  for (const [at, source] of (await sources(path, content, work, what, deps, signal)).entries()) {
    copied.push({ manifest: await copy(source, at, work, what, options.subject, deps, signal), tags: source.tags });
  }
  const images: ImageRecord[] = [];
  for (const { manifest, tags } of copied) images.push(await prepare(manifest, tags, what, options, deps, signal));
  return await enterImages(images, deps, signal);
}

export async function importFromDocker(
  name: string,
  options: ImportOptions,
  deps: ImportDeps,
  signal: AbortSignal,
): Promise<ImageRecord> {
  const reference = referenceText(parseReference(name));
  const what = `import ${reference} from Docker`;
  await using work = await WorkFolder.open(deps.workDir, 'import');
  const source = { transport: `docker-daemon:${reference}`, flags: [], tags: [reference] };
  const manifest = await copy(source, 0, work, what, options.subject, deps, signal);
  const prepared = await prepare(manifest, source.tags, what, options, deps, signal);
  const [entered] = await enterImages([prepared], deps, signal);
  return entered as ImageRecord;
}

/** What skopeo is to copy. It splits paths at colons: a link with a plain name stands for the archive. */
async function sources(
  path: string,
  content: ArchiveContent,
  work: WorkFolder,
  what: string,
  deps: ImportDeps,
  signal: AbortSignal,
): Promise<Source[]> {
  if (content.kind === 'docker-archive') {
    const link = join(work.path, 'archive');
    await symlink(await realpath(path), link);
    return content.images.map(({ tags }, at) => ({ transport: `docker-archive:${link}:@${at}`, flags: [], tags }));
  }
  const layout =
    content.kind === 'oci-layout' ? await linkedLayout(path, work) : await extract(path, work, what, deps, signal);
  return await Promise.all(
    content.images.map(async ({ tags, manifest }, at) => ({
      transport: `oci:${await work.layoutOf(`source-${at}`, manifest)}`,
      flags: ['--src-shared-blob-dir', join(layout, 'blobs')],
      tags,
    })),
  );
}

async function linkedLayout(path: string, work: WorkFolder): Promise<string> {
  const link = join(work.path, 'layout');
  await symlink(await realpath(path), link);
  return link;
}

async function extract(
  path: string,
  work: WorkFolder,
  what: string,
  deps: ImportDeps,
  signal: AbortSignal,
): Promise<string> {
  const layout = await work.folder('layout');
  const argv = [deps.tarPath, '--extract', `--file=${path}`, '--force-local', `--directory=${layout}`] as const;
  const flags = ['--no-same-owner', '--no-same-permissions'];
  const result = await deps.run({ argv: [...argv, ...flags], env: deps.env, timeoutMs: extractTimeoutMs }, signal);
  if (!programSucceeded(result)) {
    const words = describeEnd(result);
    const reason = words.includes('No space left') ? 'disk-full' : 'archive-invalid';
    throw imageError(reason, `${what}: tar ${words}`);
  }
  if (!(await lstat(join(layout, 'blobs')).catch(() => undefined))?.isDirectory()) {
    throw imageError('archive-invalid', `${what}: it has no blobs`);
  }
  return layout;
}

async function copy(
  source: Source,
  at: number,
  work: WorkFolder,
  what: string,
  subject: CallSubject | undefined,
  deps: ImportDeps,
  signal: AbortSignal,
): Promise<Descriptor> {
  const layout = await work.folder(`image-${at}`);
  const tmpDir = await work.folder(`tmp-${at}`);
  // Compressing what is unpacked right away and seldom exported is not worth the time.
  const flags = [...source.flags, '--dest-shared-blob-dir', deps.blobs.dir, '--dest-oci-accept-uncompressed-layers'];
  const request = { source: source.transport, destination: `oci:${layout}`, tmpDir, flags };
  try {
    await deps.skopeo.copy(request, { what, subject: subject ?? { object: what.slice('import '.length) } }, signal);
  } catch (err) {
    signal.throwIfAborted();
    throw asArchiveError(err);
  }
  return await copiedManifest(layout, what);
}

const ownReasons: readonly ImageFailureReason[] = [
  'disk-full',
  'program-missing',
  'signature-rejected',
  'no-matching-platform',
];

/** For an archive, what would be a registry's failure is a damaged file; a Docker daemon that is not there stays what it is. */
function asArchiveError(err: unknown): Error {
  if (!(err instanceof ImageError) || ownReasons.includes(err.failure.reason)) return err as Error;
  if (/docker daemon/i.test(err.message)) return imageError('not-found', err.message, err);
  return imageError('archive-invalid', err.message, err);
}

async function prepare(
  manifest: Descriptor,
  tags: readonly string[],
  what: string,
  options: ImportOptions,
  deps: ImportDeps,
  signal: AbortSignal,
): Promise<ImageRecord> {
  const reference = options.reference === undefined ? undefined : parseReference(options.reference);
  if (reference?.digest !== undefined) {
    throw imageError('name-invalid', `${what}: the name ${options.reference} has a digest; give it a tag`);
  }
  const names = reference === undefined ? tags : [referenceText(reference)];
  const pinned = options.pinned ?? false;
  return await prepareImage({ what, manifest, tags: names, digests: [], imported: true, pinned }, deps, signal);
}
