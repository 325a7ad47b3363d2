import { watch, type FSWatcher } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { errnoOf } from '../../../base/errors.js';
import { LogLineParser, type LogPiece } from './log-lines.js';

const chunkSize = 64 * 1024;

export interface LogEnd {
  readonly now: () => boolean;
  readonly onChange: (wake: () => void) => () => void;
}

/** Follows a CRI log from the moment it was opened, through rotations. Woken by the file system, not by time. */
export class LogFollower implements AsyncDisposable {
  readonly #path: string;
  readonly #reader: LogReader;
  readonly #watcher: FSWatcher;
  #changed = true;
  #wake: () => void = () => {};

  private constructor(path: string, reader: LogReader) {
    this.#path = path;
    this.#reader = reader;
    this.#watcher = watch(dirname(path), (_event, name) => {
      if (name === null || name === basename(path)) this.#onEvent();
    });
    this.#watcher.on('error', () => this.#onEvent());
  }

  /** Everything written after this resolves is seen. */
  static async open(path: string): Promise<LogFollower> {
    return new LogFollower(path, await LogReader.atEnd(path));
  }

  #onEvent(): void {
    this.#changed = true;
    this.#wake();
  }

  /** Until `ended` says that no more is written and the log is read to its end, or the signal aborts. */
  async *pieces(ended: LogEnd, signal: AbortSignal): AsyncGenerator<LogPiece, void, undefined> {
    const onEvent = (): void => this.#onEvent();
    const forget = ended.onChange(onEvent);
    signal.addEventListener('abort', onEvent, { once: true });
    try {
      while (!signal.aborted) {
        this.#changed = false;
        const final = ended.now();
        for await (const pieces of this.#reader.rest(this.#path)) yield* pieces;
        if (final) return;
        if (this.#changed || signal.aborted) continue;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
          if (this.#changed) resolve();
        });
      }
    } finally {
      signal.removeEventListener('abort', onEvent);
      forget();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watcher.close();
    await this.#reader.close();
  }
}

class LogReader {
  #file: FileHandle | undefined;
  #inode = 0;
  #position = 0;
  #parser = new LogLineParser();
  readonly #buffer = Buffer.alloc(chunkSize);

  static async atEnd(path: string): Promise<LogReader> {
    const reader = new LogReader();
    await reader.#open(path);
    if (reader.#file !== undefined) reader.#position = (await reader.#file.stat()).size;
    return reader;
  }

  async #open(path: string): Promise<void> {
    try {
      this.#file = await open(path, 'r');
    } catch (err) {
      if (errnoOf(err) === 'ENOENT') return;
      throw err;
    }
    this.#inode = (await this.#file.stat()).ino;
    this.#position = 0;
    this.#parser = new LogLineParser();
  }

  /** All there is now; goes on in the new file after a rotation, once the old one is read to its end. */
  async *rest(path: string): AsyncGenerator<LogPiece[], void, undefined> {
    while (true) {
      // The writer leaves the old file before it makes the new one: seen in this order, the old one is complete.
      const replaced = await this.#isReplaced(path);
      yield* this.#untilEnd();
      if (!replaced) return;
      await this.close();
      await this.#open(path);
      if (this.#file === undefined) return;
    }
  }

  async *#untilEnd(): AsyncGenerator<LogPiece[], void, undefined> {
    while (this.#file !== undefined) {
      const { bytesRead } = await this.#file.read(this.#buffer, 0, chunkSize, this.#position);
      if (bytesRead === 0) return;
      this.#position += bytesRead;
      // The buffer is used again for the next read: what is handed out must be a copy.
      yield this.#parser.push(Buffer.from(this.#buffer.subarray(0, bytesRead)));
    }
  }

  async #isReplaced(path: string): Promise<boolean> {
    try {
      return (await stat(path)).ino !== this.#inode;
    } catch (err) {
      if (errnoOf(err) === 'ENOENT') return false;
      throw err;
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }
}
