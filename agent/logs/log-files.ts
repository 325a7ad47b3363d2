import { constants } from 'node:fs';
import { open, readdir, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { pipeline, type Readable } from 'node:stream';
import { errnoOf } from '../../base/errors.js';

const { O_RDONLY, O_NOFOLLOW, O_DIRECTORY, O_NONBLOCK } = constants;

/** Which log: every part is one path component, and none may lead elsewhere. */
export interface LogPlace {
  readonly podLogsDir: string;
  /** `namespace_name_uid`. */
  readonly podFolder: string;
  readonly container: string;
  /** Number of starts before this instance: `3.log`. */
  readonly attempt: number;
}

/**
 * The log files of one container instance. The folder is held open and reached component by component without following links, so
 * that whatever a container or a plugin puts in their place, no other file of the machine can be read.
 */
export class LogFiles implements AsyncDisposable {
  readonly #folder: FileHandle;
  readonly #name: string;

  private constructor(folder: FileHandle, name: string) {
    this.#folder = folder;
    this.#name = name;
  }

  /** Rejects with ENOENT when there is no such folder, with ELOOP or ENOTDIR when a link stands there. */
  static async open(place: LogPlace): Promise<LogFiles> {
    for (const part of [place.podFolder, place.container])
      if (part === '' || part === '.' || part === '..' || part.includes('/'))
        throw new Error(`open logs: ${JSON.stringify(part)} is not the name of a folder`);
    const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    const pod = await open(join(place.podLogsDir, place.podFolder), flags);
    try {
      const folder = await open(`/proc/self/fd/${pod.fd}/${place.container}`, flags);
      return new LogFiles(folder, `${place.attempt}.log`);
    } finally {
      await pod.close();
    }
  }

  /** True when there is nothing of this instance, not even an empty file. */
  static async areGone(place: LogPlace): Promise<boolean> {
    try {
      await using files = await LogFiles.open(place);
      const names = await readdir(files.folder);
      return !names.some((name) => name === files.#name || name.startsWith(`${files.#name}.`));
    } catch (err) {
      if (errnoOf(err) === 'ENOENT') return true;
      throw err;
    }
  }

  /** For a file watch: the folder itself, whatever its name leads to now. */
  get folder(): string {
    return `/proc/self/fd/${this.#folder.fd}`;
  }

  /** The file that is written now; undefined for a moment during a rotation, or when it was never made. */
  async current(): Promise<FileHandle | undefined> {
    return await this.#open(this.#name);
  }

  /** Rotated files, oldest first: `0.log.20260102-030405`, some of them compressed. */
  async rotated(): Promise<readonly RotatedFile[]> {
    const names = (await readdir(this.folder)).filter(
      (name) => name.startsWith(`${this.#name}.`) && !name.endsWith('.tmp'),
    );
    // While one is being compressed both are there; the plain one is whole.
    const plain = new Set(names.filter((name) => !name.endsWith('.gz')));
    return names
      .filter((name) => !name.endsWith('.gz') || !plain.has(name.slice(0, -'.gz'.length)))
      .toSorted()
      .map((name) => ({
        name: name.replace(/\.gz$/, ''),
        compressed: name.endsWith('.gz'),
        open: () => this.#open(name),
      }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder.close();
  }

  /** Only regular files: a FIFO or a device in its place would block or have an effect. */
  async #open(name: string): Promise<FileHandle | undefined> {
    let file: FileHandle;
    try {
      file = await open(`${this.folder}/${name}`, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    } catch (err) {
      if (errnoOf(err) === 'ENOENT') return undefined;
      throw err;
    }
    if ((await file.stat()).isFile()) return file;
    await file.close();
    throw new Error(`read log ${this.#name}: ${JSON.stringify(name)} is not a regular file`);
  }
}

export interface RotatedFile {
  /** The same before and after it was compressed; later ones come later in the alphabet. */
  readonly name: string;
  readonly compressed: boolean;
  /** Undefined when it was removed since. */
  readonly open: () => Promise<FileHandle | undefined>;
}

/** The bytes of a file from `start` on; the handle is closed with the stream, however that ends. */
export function readFrom(file: FileHandle, compressed: boolean, start = 0): Readable {
  const raw = file.createReadStream({ start, autoClose: true });
  // Whoever reads has the error; the callback is for those who do not.
  return compressed ? pipeline(raw, createGunzip(), () => {}) : raw;
}
