import { randomBytes } from 'node:crypto';
import { access, rename, rm, link } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf } from '../../../../base/errors.js';
import { imageError } from '../image-error.js';
import type { ImageRecord } from '../image-index.js';
import type { ArchiveFormat } from '../image-store.js';
import type { PullDeps } from './pull-image.js';
import { WorkFolder } from './work-folder.js';

/** Writes beside the destination and renames, so that an archive that is there is whole. */
export async function exportArchive(
  image: ImageRecord,
  path: string,
  format: ArchiveFormat,
  deps: PullDeps,
  signal: AbortSignal,
): Promise<void> {
  const name = image.tags[0];
  const what = `export ${name ?? image.id} to ${path}`;
  if (await isThere(path)) throw imageError('name-invalid', `${what}: the file exists already`);
  await using work = await WorkFolder.open(deps.workDir, 'export');
  const layout = await work.layoutOf('layout', image.manifest);
  const tmpDir = await work.folder('tmp');
  const partial = join(dirname(path), `.${basename(path).replaceAll(':', '_')}.${randomBytes(4).toString('hex')}`);
  // skopeo splits at the colon, also inside a path.
  const target = join(work.path, 'target');
  const destination = dirname(partial).includes(':') ? target : partial;
  const request = {
    source: `oci:${layout}`,
    destination: `${format}:${destination}${name === undefined ? '' : `:${name}`}`,
    tmpDir,
    flags: ['--src-shared-blob-dir', deps.blobs.dir],
  };
  try {
    await deps.skopeo.copy(request, { what, subject: { object: name ?? image.id } }, signal);
    await place(destination, path, what);
  } finally {
    await rm(partial, { force: true });
  }
}

/** `link` refuses a name that came into being meanwhile, which `rename` would overwrite. */
async function place(from: string, path: string, what: string): Promise<void> {
  try {
    await link(from, path);
  } catch (err) {
    if (errnoOf(err) === 'EEXIST') throw imageError('name-invalid', `${what}: the file exists already`, err);
    if (errnoOf(err) !== 'EPERM' && errnoOf(err) !== 'ENOTSUP') throw err;
    await rename(from, path); // a file system without hard links
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return false;
    throw err;
  }
}
