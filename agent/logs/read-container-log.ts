import { watch, type FSWatcher } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { once } from 'node:events';
import { errnoOf } from '../../base/errors.js';
import { parseLogLine } from './cri-log-line.js';
import { LineSplitter } from './line-splitter.js';
import { LogFilter, type LogFilterOptions } from './log-filter.js';
import { LogFiles, readFrom, type LogPlace, type RotatedFile } from './log-files.js';
import { tailStart } from './tail-start.js';

export interface ReadLogOptions extends LogFilterOptions {
  /** Only the last lines, counted as the runtime wrote them. */
  readonly tailLines?: number | undefined;
  /** Goes on as the container writes, until it has ended. */
  readonly follow?: { readonly ended: () => boolean } | undefined;
}

/** Writes to a log file are announced; this is for file systems where they are not. */
const pollMs = 1000;

/** Writes a container's log, rotated files included, to `out`. Resolves when all of it is written, or when the signal aborts. */
export async function readContainerLog(
  place: LogPlace,
  options: ReadLogOptions,
  out: Writable,
  signal: AbortSignal,
): Promise<void> {
  await using files = await LogFiles.open(place);
  const reader = new Reader(new LogFilter(options), out, signal);
  // Opened before the rotated ones are listed: a rotation in between then shows lines twice at worst, and loses none.
  let current = await files.current();
  try {
    const rotated = await files.rotated();
    let newest = rotated.at(-1)?.name ?? '';
    const start = await beginning(rotated, current, options);
    for (const { file, offset } of start.rotated) await reader.wholeFile(file, offset);
    let at = await reader.upToEnd(current, start.currentOffset);
    if (options.follow) {
      await using changes = new Changes(files.folder, signal);
      while (!reader.done) {
        const ended = options.follow.ended();
        const next = await files.current();
        const replaced = next !== undefined && !(await sameFile(current, next));
        // What came into the old file until its replacement appeared.
        at = await reader.upToEnd(current, at);
        if (replaced) {
          const since = (await files.rotated()).filter(({ name }) => name > newest);
          newest = since.at(-1)?.name ?? newest;
          // The first of them is the one that was read until now.
          const missed = current ? since.slice(1) : since;
          await current?.close();
          current = next;
          for (const file of missed) await reader.wholeFile(file, 0, next);
          at = await reader.upToEnd(current, 0);
        } else {
          await next?.close();
        }
        // Asked before the last read: what the container wrote before it ended is in the file.
        if (ended) break;
        await changes.next();
      }
    }
    await reader.finish();
  } finally {
    await current?.close();
  }
}

interface Beginning {
  readonly rotated: readonly { readonly file: RotatedFile; readonly offset: number }[];
  readonly currentOffset: number;
}

/** Where to begin so that the last `tailLines` lines are shown: backwards through the files until there are enough. */
async function beginning(
  rotated: readonly RotatedFile[],
  current: FileHandle | undefined,
  { tailLines, sinceMs }: ReadLogOptions,
): Promise<Beginning> {
  if (tailLines === undefined) return { rotated: await notBefore(rotated, sinceMs), currentOffset: 0 };
  const inCurrent = current ? await tailStart(current, tailLines) : { offset: 0, lines: 0 };
  let missing = tailLines - inCurrent.lines;
  const chosen: { file: RotatedFile; offset: number }[] = [];
  for (const file of rotated.toReversed()) {
    if (missing <= 0) break;
    const found = await tailOf(file, missing);
    chosen.unshift({ file, offset: found.offset });
    missing -= found.lines;
  }
  return { rotated: chosen, currentOffset: inCurrent.offset };
}

/** A file last written before the asked time holds nothing that is wanted. */
async function notBefore(rotated: readonly RotatedFile[], sinceMs: number | undefined): Promise<Beginning['rotated']> {
  const chosen: { file: RotatedFile; offset: number }[] = [];
  for (const file of rotated) {
    const handle = sinceMs === undefined ? undefined : await file.open();
    const old = handle !== undefined && (await handle.stat()).mtimeMs < (sinceMs ?? 0);
    await handle?.close();
    if (!old) chosen.push({ file, offset: 0 });
  }
  return chosen;
}

/** For a compressed file the offset counts unpacked bytes. */
async function tailOf(file: RotatedFile, wanted: number): Promise<{ offset: number; lines: number }> {
  const handle = await file.open();
  if (!handle) return { offset: 0, lines: 0 };
  if (!file.compressed) {
    try {
      return await tailStart(handle, wanted);
    } finally {
      await handle.close();
    }
  }
  const starts: number[] = [0];
  let at = 0;
  try {
    for await (const chunk of readFrom(handle, true) as AsyncIterable<Buffer>) {
      for (const [index, byte] of chunk.entries()) if (byte === 0x0a) starts.push(at + index + 1);
      at += chunk.length;
    }
  } catch (err) {
    if (!isBrokenArchive(err)) throw err;
  }
  if (starts.at(-1) === at) starts.pop();
  return { offset: starts.at(-wanted) ?? 0, lines: Math.min(starts.length, wanted) };
}

/** A power cut can leave a file that was just compressed half or empty; the others are shown all the same. */
const isBrokenArchive = (err: unknown): boolean =>
  err instanceof Error && 'code' in err && String(err.code).startsWith('Z_');

async function sameFile(a: FileHandle | undefined, b: FileHandle): Promise<boolean> {
  if (!a) return false;
  const [first, second] = await Promise.all([a.stat(), b.stat()]);
  return first.ino === second.ino && first.dev === second.dev;
}

/** Turns bytes of log files into what was asked for, at the pace of whoever reads it. */
class Reader {
  readonly #filter: LogFilter;
  readonly #out: Writable;
  readonly #signal: AbortSignal;
  readonly #lines = new LineSplitter();
  readonly #buffer = Buffer.alloc(64 * 1024);

  constructor(filter: LogFilter, out: Writable, signal: AbortSignal) {
    this.#filter = filter;
    this.#out = out;
    this.#signal = signal;
  }

  get done(): boolean {
    return this.#filter.full || this.#signal.aborted || this.#out.destroyed;
  }

  /** Nothing is read of a file that is `other` under a new name. */
  async wholeFile(file: RotatedFile, offset: number, other?: FileHandle): Promise<void> {
    if (this.done) return;
    const handle = await file.open();
    if (!handle) return;
    if (other && (await sameFile(other, handle))) return await handle.close();
    let skip = file.compressed ? offset : 0;
    const bytes = readFrom(handle, file.compressed, file.compressed ? 0 : offset) as AsyncIterable<Buffer>;
    try {
      for await (const chunk of bytes) {
        await this.#take(chunk.subarray(Math.min(skip, chunk.length)));
        skip = Math.max(skip - chunk.length, 0);
        if (this.done) return;
      }
    } catch (err) {
      if (!isBrokenArchive(err)) throw err;
      // Half a line is no beginning of another one.
      this.#lines.rest();
    }
  }

  /** Reads what is there; returns where it ended. */
  async upToEnd(file: FileHandle | undefined, from: number): Promise<number> {
    let at = from;
    if (!file) return at;
    while (!this.done) {
      const { bytesRead } = await file.read(this.#buffer, 0, this.#buffer.length, at);
      if (bytesRead === 0) break;
      at += bytesRead;
      await this.#take(this.#buffer.subarray(0, bytesRead));
    }
    return at;
  }

  async finish(): Promise<void> {
    if (!this.done) await this.#write(this.#lines.rest());
  }

  async #take(chunk: Buffer): Promise<void> {
    await this.#write(this.#lines.push(chunk));
  }

  async #write(lines: readonly Buffer[]): Promise<void> {
    const pieces: Buffer[] = [];
    for (const line of lines) {
      const parsed = parseLogLine(line);
      if (parsed) pieces.push(this.#filter.take(parsed));
      if (this.#filter.full) break;
    }
    const bytes = Buffer.concat(pieces);
    if (bytes.length === 0 || this.#out.destroyed) return;
    if (!this.#out.write(bytes)) await once(this.#out, 'drain', { signal: this.#signal }).catch(() => {});
  }
}

/** Undefined on a machine whose watches are used up: then a look now and then has to do. */
function watchIfPossible(folder: string, onChange: () => void): FSWatcher | undefined {
  try {
    return watch(folder, onChange).on('error', () => {});
  } catch (err) {
    if (errnoOf(err) !== 'ENOSPC' && errnoOf(err) !== 'EMFILE') throw err;
    return undefined;
  }
}

/** Resolves after something in the folder changed, or after a while. */
class Changes implements AsyncDisposable {
  readonly #watcher: FSWatcher | undefined;
  readonly #signal: AbortSignal;
  #changed = false;
  #wake = (): void => {};

  constructor(folder: string, signal: AbortSignal) {
    this.#signal = signal;
    this.#watcher = watchIfPossible(folder, () => {
      this.#changed = true;
      this.#wake();
    });
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  async next(): Promise<void> {
    if (!this.#changed && !this.#signal.aborted) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, pollMs);
      });
      clearTimeout(timer);
    }
    this.#changed = false;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#watcher?.close();
    return Promise.resolve();
  }

  readonly #onAbort = (): void => this.#wake();
}
