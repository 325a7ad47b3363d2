import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../../base/errors.js';
import { imageError } from './image-error.js';
import { sha256 } from './oci-documents.js';

const maxDocumentBytes = 8 * 1024 * 1024;

/** The blobs of an OCI layout: `blobs/ALGORITHM/HEX`. */
export class BlobFiles {
  /** The folder skopeo calls the shared blob folder. */
  readonly dir: string;

  constructor(layout: string) {
    this.dir = join(layout, 'blobs');
  }

  path(digest: string): string {
    const colon = digest.indexOf(':');
    return join(this.dir, digest.slice(0, colon), digest.slice(colon + 1));
  }

  /** A manifest or config; checked against its digest, because the disk may have lost it in a power cut. */
  async readDocument(digest: string, what: string): Promise<Buffer> {
    const path = this.path(digest);
    try {
      if ((await stat(path)).size > maxDocumentBytes) throw imageError('manifest-invalid', `read ${what}: too large`);
      const bytes = await readFile(path);
      if (digest.startsWith('sha256:') && sha256(bytes) !== digest) {
        await rm(path, { force: true });
        throw imageError(
          'manifest-invalid',
          `read ${what}: its blob ${digest} is damaged on disk; removed, pull again`,
        );
      }
      return bytes;
    } catch (err) {
      if (errnoOf(err) === 'ENOENT')
        throw imageError('manifest-invalid', `read ${what}: blob ${digest} is missing`, err);
      throw err;
    }
  }

  /** Removes a blob that is not what its name says. */
  async removeIfDamaged(digest: string): Promise<void> {
    const colon = digest.indexOf(':');
    const hash = createHash(digest.slice(0, colon));
    try {
      for await (const piece of createReadStream(this.path(digest))) hash.update(piece as Buffer);
    } catch (err) {
      if (errnoOf(err) === 'ENOENT') return;
      throw err;
    }
    if (hash.digest('hex') !== digest.slice(colon + 1)) await this.remove(digest);
  }

  async list(): Promise<string[]> {
    const digests: string[] = [];
    for (const algorithm of ['sha256', 'sha512']) {
      try {
        for (const hex of await readdir(join(this.dir, algorithm))) digests.push(`${algorithm}:${hex}`);
      } catch (err) {
        if (errnoOf(err) !== 'ENOENT') throw err;
      }
    }
    return digests;
  }

  async remove(digest: string): Promise<void> {
    await rm(this.path(digest), { force: true });
  }

  async removeUnless(wanted: ReadonlySet<string>): Promise<number> {
    const gone = (await this.list()).filter((digest) => !wanted.has(digest));
    for (const digest of gone) await this.remove(digest);
    return gone.length;
  }
}
