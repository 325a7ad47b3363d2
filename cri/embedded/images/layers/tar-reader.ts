import { imageError } from '../image-error.js';
import {
  blockSize,
  padding,
  parseEntry,
  parsePax,
  parseRawHeader,
  type RawHeader,
  type TarEntry,
} from './tar-format.js';

/** Most bytes of an extended header or long name; a layer has no use for more. */
const maxExtensionBytes = 1024 * 1024;

/** Bytes by count from a stream of pieces. */
class ByteSource {
  readonly #pieces: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(pieces: AsyncIterator<Buffer>) {
    this.#pieces = pieces;
  }

  async #refill(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const next = await this.#pieces.next();
      if (next.done) return false;
      this.#rest = next.value;
    }
    return true;
  }

  /** At most `limit` bytes, at least one; undefined at the end. */
  async some(limit: number): Promise<Buffer | undefined> {
    if (!(await this.#refill())) return undefined;
    const piece = this.#rest.subarray(0, limit);
    this.#rest = this.#rest.subarray(piece.length);
    return piece;
  }

  /** Exactly `count` bytes; undefined when the stream ends before the first of them. */
  async exactly(count: number): Promise<Buffer | undefined> {
    if (this.#rest.length >= count) return await this.some(count);
    const parts: Buffer[] = [];
    let missing = count;
    while (missing > 0) {
      const piece = await this.some(missing);
      if (piece === undefined) {
        if (parts.length === 0) return undefined;
        throw imageError('layer-invalid', 'read layer: the archive is cut short');
      }
      parts.push(piece);
      missing -= piece.length;
    }
    return Buffer.concat(parts);
  }

  async close(): Promise<void> {
    await this.#pieces.return?.();
  }
}

/** Reads a tar stream entry by entry. The content of an entry must be read (or skipped) before the next. */
export class TarReader {
  readonly #source: ByteSource;
  #unread = 0;
  #padding = 0;

  constructor(pieces: AsyncIterable<Buffer>) {
    this.#source = new ByteSource(pieces[Symbol.asyncIterator]());
  }

  async next(): Promise<TarEntry | undefined> {
    for await (const _ of this.content()) void _;
    let pax: ReadonlyMap<string, string> = new Map();
    let longName: string | undefined;
    let longLink: string | undefined;
    for (let header = await this.#header(); header !== undefined; header = await this.#header()) {
      if (header.flag === 'x') pax = parsePax(await this.#extension(header.size));
      // Global headers carry the comment of `git archive`; other tools for images ignore them as well.
      else if (header.flag === 'g') await this.#extension(header.size);
      else if (header.flag === 'L') longName = textOf(await this.#extension(header.size));
      else if (header.flag === 'K') longLink = textOf(await this.#extension(header.size));
      else {
        const entry = parseEntry(header, { pax, longName, longLink });
        this.#unread = entry.size;
        this.#padding = padding(entry.size).length;
        return entry;
      }
    }
    return undefined;
  }

  /** The content of the entry that `next` returned last, without its padding. */
  async *content(): AsyncGenerator<Buffer> {
    while (this.#unread > 0) {
      const piece = await this.#source.some(this.#unread);
      if (piece === undefined) throw imageError('layer-invalid', 'read layer: the archive is cut short');
      this.#unread -= piece.length;
      yield piece;
    }
    const pad = this.#padding;
    this.#padding = 0;
    if (pad > 0 && (await this.#source.exactly(pad)) === undefined) {
      throw imageError('layer-invalid', 'read layer: the archive is cut short');
    }
  }

  /** Reads what stands behind the end mark, so that a digest over the whole stream is over all of it. */
  async drain(): Promise<void> {
    while ((await this.#source.some(Number.MAX_SAFE_INTEGER)) !== undefined);
  }

  /** Lets go of the stream, wherever it stands: what it reads from is closed. */
  async close(): Promise<void> {
    await this.#source.close();
  }

  async #header(): Promise<RawHeader | undefined> {
    const block = await this.#source.exactly(blockSize);
    return block === undefined ? undefined : parseRawHeader(block);
  }

  async #extension(size: number): Promise<Buffer> {
    if (size > maxExtensionBytes) throw imageError('layer-invalid', 'read layer: an extended header is too large');
    const padded = Math.ceil(size / blockSize) * blockSize;
    if (padded === 0) return Buffer.alloc(0);
    const bytes = await this.#source.exactly(padded);
    if (bytes === undefined) throw imageError('layer-invalid', 'read layer: the archive is cut short');
    return bytes.subarray(0, size);
  }
}

function textOf(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end < 0 ? bytes.length : end);
}
