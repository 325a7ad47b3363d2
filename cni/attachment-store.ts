import { appendFileSync, closeSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../base/clock.js';
import { errnoOf, errorText } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import {
  decodeRecord,
  encodeEntry,
  nextRecord,
  type AttachmentIntent,
  type AttachmentRecord,
  type RecordEntry,
} from './attachment-record.js';
import { CniError } from './failure.js';
import type { AttachmentId } from './request-config.js';

export interface AttachmentStoreDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

const suffix = '.attachment';

/**
 * Every attachment that was begun and not ended, on disk and in memory. A file is written before the first plugin is asked and
 * removed after the last one let go, so that whatever may exist has a record. Lines are appended without a flush: they survive
 * the end of this process at any point. A power cut may lose the end of a file; a file that lost its beginning still names its
 * attachment and is kept as `lost`. Writes are synchronous: without a flush they are cheaper than a trip through the thread pool.
 */
export class AttachmentStore {
  readonly #folder: string;
  readonly #networksFolder: string;
  readonly #deps: AttachmentStoreDeps;
  readonly #records = new Map<string, AttachmentRecord>();
  readonly #networks = new Set<string>();

  private constructor(cacheDir: string, deps: AttachmentStoreDeps) {
    this.#folder = join(cacheDir, 'attachments');
    this.#networksFolder = join(cacheDir, 'networks');
    this.#deps = deps;
  }

  static async open(cacheDir: string, deps: AttachmentStoreDeps): Promise<AttachmentStore> {
    const store = new AttachmentStore(cacheDir, deps);
    await mkdir(store.#folder, { recursive: true, mode: 0o700 });
    await mkdir(store.#networksFolder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(store.#networksFolder)) store.#networks.add(name);
    for (const name of (await readdir(store.#folder)).sort()) {
      if (name.endsWith(suffix)) await store.#load(name);
    }
    return store;
  }

  get(id: AttachmentId): AttachmentRecord | undefined {
    return this.#records.get(keyOf(id));
  }

  /** Oldest first. */
  all(): AttachmentRecord[] {
    return [...this.#records.values()].sort((a, b) => a.since - b.since);
  }

  ofContainer(containerId: string): AttachmentRecord[] {
    const records: AttachmentRecord[] = [];
    for (const record of this.#records.values()) if (record.containerId === containerId) records.push(record);
    return records.sort((a, b) => a.since - b.since);
  }

  /** Names of the networks that were ever attached to from here. */
  get usedNetworks(): ReadonlySet<string> {
    return this.#networks;
  }

  /** Writes what is about to be done; the plugins may be asked once this resolved. */
  begin(intent: AttachmentIntent): OpenRecord {
    const path = this.#pathOf(intent);
    let file: number | undefined;
    try {
      if (!this.#networks.has(intent.network)) {
        writeFileSync(join(this.#networksFolder, intent.network), '', { mode: 0o600 });
        this.#networks.add(intent.network);
      }
      file = openSync(path, 'ax', 0o600);
      const record = new OpenRecord(keyOf(intent), file, (entry) => this.#apply(intent, entry));
      record.write({ entry: 'adding', intent });
      return record;
    } catch (err) {
      if (file !== undefined) {
        closeSync(file);
        rmSync(path, { force: true });
        this.#records.delete(keyOf(intent));
      }
      throw err instanceof CniError ? err : notRecorded(keyOf(intent), err);
    }
  }

  /**
   * Adds a line to the record of an attachment that is being removed. Memory always follows; a full disk must not keep an address
   * from being freed, so a line that cannot be written is only logged.
   */
  note(id: AttachmentId, entry: RecordEntry): void {
    this.#apply(id, entry);
    try {
      appendFileSync(this.#pathOf(id), encodeEntry(entry));
    } catch (err) {
      this.#deps.log.warn({ err, attachment: keyOf(id), entry: entry.entry }, 'cni record not written');
    }
  }

  /** The attachment is gone; so is its record. */
  remove(id: AttachmentId): void {
    rmSync(this.#pathOf(id), { force: true });
    this.#records.delete(keyOf(id));
  }

  async #load(name: string): Promise<void> {
    const path = join(this.#folder, name);
    const [containerId, ifName] = splitKey(name.slice(0, -suffix.length));
    try {
      const record = decodeRecord(await readFile(path, 'utf8'));
      if (record.containerId !== containerId || record.ifName !== ifName)
        throw new Error('it belongs to another attachment');
      this.#records.set(keyOf(record), record);
    } catch (err) {
      const reason = await this.#setAside(path, err);
      this.#deps.log.error({ err, containerId, ifName, reason }, 'cni record unreadable, set aside');
      if (ifName === '') return;
      const since = this.#deps.clock.now();
      this.note({ containerId, ifName }, { entry: 'lost', containerId, ifName, reason, since });
    }
  }

  async #setAside(path: string, err: unknown): Promise<string> {
    if ((await stat(path)).size === 0) {
      await unlink(path);
      return 'record empty';
    }
    const movedTo = `${path}.corrupt-${this.#deps.clock.now()}`;
    await rename(path, movedTo);
    return `record unreadable (${errorText(err)}), kept as ${movedTo}`;
  }

  #apply(id: AttachmentId, entry: RecordEntry): void {
    const key = keyOf(id);
    const next = nextRecord(this.#records.get(key), entry);
    if (next !== undefined) this.#records.set(key, next);
  }

  #pathOf(id: AttachmentId): string {
    return join(this.#folder, `${keyOf(id)}${suffix}`);
  }
}

/** The record of an attachment that is being made; its file stays open until `close`. */
export class OpenRecord {
  readonly #key: string;
  readonly #file: number;
  readonly #apply: (entry: RecordEntry) => void;

  constructor(key: string, file: number, apply: (entry: RecordEntry) => void) {
    this.#key = key;
    this.#file = file;
    this.#apply = apply;
  }

  write(entry: RecordEntry): void {
    this.#apply(entry);
    try {
      writeFileSync(this.#file, encodeEntry(entry));
    } catch (err) {
      throw notRecorded(this.#key, err);
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}

/** `@` cannot be in a container id, so the first one divides. */
export function keyOf({ containerId, ifName }: AttachmentId): string {
  return `${containerId}@${ifName}`;
}

function splitKey(key: string): [string, string] {
  const at = key.indexOf('@');
  return at < 0 ? [key, ''] : [key.slice(0, at), key.slice(at + 1)];
}

function notRecorded(key: string, err: unknown): CniError {
  return new CniError(
    `record attachment ${key}: ${errorText(err)}`,
    { code: 'no-record', errno: errnoOf(err) },
    { cause: err },
  );
}
