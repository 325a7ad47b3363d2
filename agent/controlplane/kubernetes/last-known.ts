import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../../base/atomic-file.js';
import { errorText } from '../../../base/errors.js';
import type { Logger } from '../../../base/log.js';
import type { Sealer } from '../local/sealed-file.js';

export interface LastKnownDeps {
  readonly sealer: Sealer;
  readonly log: Logger;
}

interface Entry {
  readonly key: string;
  readonly value: unknown;
}

/**
 * What the API server last said, kept on disk in sealed files, one for each object: a start without the server goes on from
 * there. Writes happen in the background, one at a time, the newest only.
 */
export class LastKnown implements AsyncDisposable {
  readonly #dir: string;
  readonly #deps: LastKnownDeps;
  readonly #entries = new Map<string, unknown>();
  /** What is on disk, by key, as the text that was sealed. */
  readonly #stored = new Map<string, string>();
  readonly #dirty = new Set<string>();
  #writing: Promise<void> | undefined;

  private constructor(dir: string, deps: LastKnownDeps) {
    this.#dir = dir;
    this.#deps = deps;
  }

  static async open(dir: string, deps: LastKnownDeps): Promise<LastKnown> {
    const known = new LastKnown(dir, deps);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    for (const file of await readdir(dir)) if (file.endsWith('.sealed')) await known.#load(file);
    return known;
  }

  get(key: string): unknown {
    return this.#entries.get(key);
  }

  /** Values of all keys that start so. */
  startingWith(prefix: string): unknown[] {
    return [...this.#entries].filter(([key]) => key.startsWith(prefix)).map(([, value]) => value);
  }

  keys(prefix: string): string[] {
    return [...this.#entries.keys()].filter((key) => key.startsWith(prefix));
  }

  put(key: string, value: unknown): void {
    if (this.#entries.get(key) === value) return;
    this.#entries.set(key, value);
    this.#mark(key);
  }

  remove(key: string): void {
    if (this.#entries.delete(key)) this.#mark(key);
  }

  /** Resolves when everything is on disk. */
  async flushed(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.flushed();
  }

  #mark(key: string): void {
    this.#dirty.add(key);
    this.#writing ??= this.#writeAll().finally(() => (this.#writing = undefined));
  }

  async #writeAll(): Promise<void> {
    // Changes that come together are written together.
    await new Promise((resolve) => setImmediate(resolve));
    for (let key = this.#next(); key !== undefined; key = this.#next()) {
      try {
        await this.#write(key);
      } catch (err) {
        this.#deps.log.warn({ object: key, err: errorText(err) }, 'last known object could not be kept on disk');
      }
    }
  }

  #next(): string | undefined {
    const key = this.#dirty.values().next().value;
    if (key !== undefined) this.#dirty.delete(key);
    return key;
  }

  async #write(key: string): Promise<void> {
    const path = this.#path(key);
    if (!this.#entries.has(key)) {
      this.#stored.delete(key);
      await rm(path, { force: true });
      return;
    }
    const entry: Entry = { key, value: this.#entries.get(key) };
    const text = JSON.stringify(entry);
    const digest = createHash('sha256').update(text).digest('base64');
    if (this.#stored.get(key) === digest) return;
    await writeFileAtomic(path, this.#deps.sealer.seal(text));
    this.#stored.set(key, digest);
  }

  /** Names of objects may be longer than file names; the key is inside. */
  #path(key: string): string {
    return join(this.#dir, `${createHash('sha256').update(key).digest('hex').slice(0, 40)}.sealed`);
  }

  async #load(file: string): Promise<void> {
    const path = join(this.#dir, file);
    try {
      const text = this.#deps.sealer.unseal(await readFile(path));
      const { key, value } = JSON.parse(text) as Entry;
      this.#entries.set(key, value);
      this.#stored.set(key, createHash('sha256').update(text).digest('base64'));
    } catch (err) {
      await rename(path, `${path}.corrupt-${Date.now()}`);
      this.#deps.log.error({ path, err: errorText(err) }, 'last known object cannot be read and was set aside');
    }
  }
}
