import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Descriptor } from '../oci-documents.js';
import { mediaTypes } from '../oci-documents.js';

/** A throw-away folder inside the store, on the same file system as what it becomes; gone when disposed. */
export class WorkFolder implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async open(parent: string, verb: string): Promise<WorkFolder> {
    return new WorkFolder(await mkdtemp(join(parent, `${verb}-`)));
  }

  /** A folder for one more thing in it. */
  async folder(name: string): Promise<string> {
    const path = join(this.path, name);
    await mkdir(path, { mode: 0o700 });
    return path;
  }

  /** A layout that names one manifest and no blobs: those are in a shared folder. */
  async layoutOf(name: string, manifest: Descriptor): Promise<string> {
    const path = await this.folder(name);
    const { mediaType, digest, size } = manifest;
    const index = { schemaVersion: 2, mediaType: mediaTypes.index, manifests: [{ mediaType, digest, size }] };
    await writeFile(join(path, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}\n');
    await writeFile(join(path, 'index.json'), JSON.stringify(index));
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}
