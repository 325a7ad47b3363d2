import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { open, readdir, readFile, rename, rm, unlink } from 'node:fs/promises';
import { createHash, randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { errnoOf } from './errors.js';

export interface AtomicWriteOptions {
  /** Permission bits of the new file; 0600 when absent. */
  readonly mode?: number;
  /**
   * True (the default) survives a power cut: the file and its folder are flushed. False survives a kill -9 only, and is
   * for records whose subject does not outlive a power cut either.
   */
  readonly flush?: boolean;
}

/** Replaces `path` as a whole: readers see the old content or the new, never a part. */
export async function writeFileAtomic(
  path: string,
  content: string | Uint8Array,
  options: AtomicWriteOptions = {},
): Promise<void> {
  const { mode = 0o600, flush = true } = options;
  const temporary = `${path}.tmp-${randomBytes(6).toString('hex')}`;
  if (!flush) return replaceUnflushed(temporary, path, content, mode);
  const file = await open(temporary, 'wx', mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } catch (err) {
    await file.close();
    await rm(temporary, { force: true });
    throw err;
  }
  await file.close();
  try {
    await rename(temporary, path);
  } catch (err) {
    await unlink(temporary);
    throw err;
  }
  await flushFolder(dirname(path));
}

/** Nothing here waits for a disk: each call is cheaper than a trip through the thread pool would be. */
function replaceUnflushed(temporary: string, path: string, content: string | Uint8Array, mode: number): void {
  try {
    writeFileSync(temporary, content, { flag: 'wx', mode });
    renameSync(temporary, path);
  } catch (err) {
    rmSync(temporary, { force: true });
    throw err;
  }
}

async function flushFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

const unfinished = /\.tmp-[0-9a-f]{12}$/;

/** Removes what a kill left of writes that had not come to their end. To be called before anything writes to the folder again. */
export async function removeUnfinishedWrites(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (unfinished.test(name)) await rm(join(folder, name), { force: true });
}

/** `readFile` as text, undefined when the file is not there. */
export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return undefined;
    throw err;
  }
}

export type StateRead<T> =
  | { readonly kind: 'read'; readonly data: T }
  | { readonly kind: 'missing' }
  /** The file was unreadable; it was renamed out of the way and nothing was lost. */
  | { readonly kind: 'set-aside'; readonly reason: string; readonly movedTo: string };

/** A versioned, checksummed JSON file that is replaced as a whole. */
export class StateFile<T> {
  readonly path: string;
  readonly #version: number;
  readonly #parse: (data: unknown) => T;
  readonly #options: AtomicWriteOptions;

  /** `parse` turns the stored value into a `T` or throws with the reason. */
  constructor(path: string, version: number, parse: (data: unknown) => T, options: AtomicWriteOptions = {}) {
    this.path = path;
    this.#version = version;
    this.#parse = parse;
    this.#options = options;
  }

  async write(data: T): Promise<void> {
    const body = JSON.stringify(data);
    await writeFileAtomic(
      this.path,
      `{"version":${this.#version},"checksum":"${checksum(body)}","data":${body}}\n`,
      this.#options,
    );
  }

  async read(): Promise<StateRead<T>> {
    const text = await readIfPresent(this.path);
    if (text === undefined) return { kind: 'missing' };
    try {
      return { kind: 'read', data: this.#decode(text) };
    } catch (err) {
      const movedTo = `${this.path}.corrupt-${Date.now()}`;
      await rename(this.path, movedTo);
      return { kind: 'set-aside', reason: err instanceof Error ? err.message : String(err), movedTo };
    }
  }

  async remove(): Promise<void> {
    await rm(this.path, { force: true });
  }

  #decode(text: string): T {
    const outer = JSON.parse(text) as unknown;
    if (
      typeof outer !== 'object' ||
      outer === null ||
      !('version' in outer) ||
      !('checksum' in outer) ||
      !('data' in outer)
    ) {
      throw new Error('not a state file');
    }
    if (outer.version !== this.#version) throw new Error(`version ${String(outer.version)}, expected ${this.#version}`);
    if (outer.checksum !== checksum(JSON.stringify(outer.data))) throw new Error('checksum mismatch');
    return this.#parse(outer.data);
  }
}

function checksum(body: string): string {
  return createHash('sha256').update(body).digest('hex').slice(0, 16);
}
