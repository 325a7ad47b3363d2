import { createInflate, type Inflate } from 'node:zlib';
import { StreamingError } from '../streaming-error.js';
import { dictionaryId, headerDictionary } from './dictionary.js';

/** Names are lower case. */
export type SpdyHeaders = Readonly<Record<string, string>>;

const maxHeaderBytes = 64 * 1024;
/** Longest stored block of the deflate format. */
const maxStoredBlock = 65_535;
const syncMarker = Buffer.from([0, 0, 0, 0xff, 0xff]);

/**
 * Packs header blocks of one connection. The deflate stream consists of stored blocks only: headers of a streaming connection
 * are a few dozen bytes, and this needs no compressor with a state of its own.
 */
export class HeaderWriter {
  #first = true;

  pack(headers: SpdyHeaders): Buffer {
    const plain = encode(headers);
    if (plain.length > maxStoredBlock) {
      throw new StreamingError('send SPDY headers: they are longer than 65535 bytes', { code: 'protocol' });
    }
    const block = Buffer.alloc(5);
    block.writeUInt16LE(plain.length, 1);
    block.writeUInt16LE(plain.length ^ 0xffff, 3);
    // The empty block at the end makes the reader hand over what came before it.
    const parts = [block, plain, syncMarker];
    if (this.#first) parts.unshift(zlibStart());
    this.#first = false;
    return Buffer.concat(parts);
  }
}

/** The two bytes every zlib stream begins with, saying that a dictionary is used, and which. */
function zlibStart(): Buffer {
  const start = Buffer.from([0x78, 0x20, 0, 0, 0, 0]);
  start.writeUInt32BE(dictionaryId, 2);
  return start;
}

function encode(headers: SpdyHeaders): Buffer {
  const entries = Object.entries(headers);
  const parts = [uint32(entries.length)];
  for (const [name, value] of entries) {
    const nameBytes = Buffer.from(name.toLowerCase());
    const valueBytes = Buffer.from(value);
    parts.push(uint32(nameBytes.length), nameBytes, uint32(valueBytes.length), valueBytes);
  }
  return Buffer.concat(parts);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Unpacks header blocks of one connection; they share one zlib stream, so call it in the order of the frames. */
export class HeaderReader {
  readonly #inflate: Inflate;
  #chunks: Buffer[] = [];
  #size = 0;
  #failed: (err: Error) => void = () => {};

  constructor() {
    this.#inflate = createInflate({ dictionary: headerDictionary() });
    this.#inflate.on('data', (chunk: Buffer) => {
      this.#size += chunk.length;
      if (this.#size > maxHeaderBytes) this.#fail('they are too long');
      else this.#chunks.push(chunk);
    });
    this.#inflate.on('error', (err) => this.#fail(err.message));
  }

  async unpack(block: Buffer): Promise<SpdyHeaders> {
    await new Promise<void>((resolve, reject) => {
      this.#failed = reject;
      this.#inflate.write(block, (err) => (err ? reject(err) : resolve()));
    });
    const plain = Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#size = 0;
    return decode(plain);
  }

  close(): void {
    this.#inflate.destroy();
  }

  #fail(reason: string): void {
    this.#failed(new StreamingError(`read SPDY headers: ${reason}`, { code: 'protocol' }));
    this.#inflate.destroy();
  }
}

function decode(plain: Buffer): SpdyHeaders {
  let at = 0;
  const next = (length: number): Buffer => {
    if (at + length > plain.length) throw new StreamingError('read SPDY headers: cut short', { code: 'protocol' });
    at += length;
    return plain.subarray(at - length, at);
  };
  const text = (): string => next(next(4).readUInt32BE()).toString('utf8');
  const count = next(4).readUInt32BE();
  const headers: Record<string, string> = Object.create(null) as Record<string, string>;
  for (let i = 0; i < count; i++) {
    const name = text();
    headers[name.toLowerCase()] = text();
  }
  return headers;
}
