import { StreamingError } from '../streaming-error.js';

/** The frames of SPDY/3.1 that streaming uses; header blocks are still packed. */
export type Frame =
  | { readonly type: 'data'; readonly streamId: number; readonly fin: boolean; readonly data: Buffer }
  | {
      readonly type: 'syn-stream';
      readonly streamId: number;
      readonly fin: boolean;
      readonly unidirectional: boolean;
      readonly headerBlock: Buffer;
    }
  | { readonly type: 'syn-reply'; readonly streamId: number; readonly fin: boolean; readonly headerBlock: Buffer }
  | { readonly type: 'headers'; readonly streamId: number; readonly fin: boolean; readonly headerBlock: Buffer }
  | { readonly type: 'rst-stream'; readonly streamId: number; readonly status: number }
  | { readonly type: 'settings'; readonly initialWindow: number | undefined }
  | { readonly type: 'ping'; readonly id: number }
  | { readonly type: 'goaway'; readonly lastStreamId: number; readonly status: number }
  | { readonly type: 'window-update'; readonly streamId: number; readonly delta: number }
  | { readonly type: 'unknown' };

export const rstStatus = { protocolError: 1, refusedStream: 3, cancel: 5, internalError: 6 } as const;

const control = { synStream: 1, synReply: 2, rstStream: 3, settings: 4, ping: 6, goaway: 7, headers: 8, window: 9 };
const flagFin = 1;
const flagUnidirectional = 2;
const settingInitialWindow = 7;
const headerSize = 8;
const maxControlBytes = 256 * 1024;

/** Cuts a byte stream into frames. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #size = 0;

  *push(chunk: Buffer): Generator<Frame> {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    while (this.#size >= headerSize) {
      const head = this.#peek(headerSize);
      const length = head.readUIntBE(5, 3);
      const isControl = ((head[0] as number) & 0x80) !== 0;
      if (isControl && length > maxControlBytes) throw broken(`a control frame of ${length} bytes`);
      if (this.#size < headerSize + length) return;
      const frame = this.#take(headerSize + length);
      yield isControl ? readControl(frame) : readData(frame);
    }
  }

  #peek(length: number): Buffer {
    const first = this.#chunks[0] as Buffer;
    if (first.length >= length) return first;
    this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] as Buffer;
  }

  #take(length: number): Buffer {
    const all = this.#peek(length);
    this.#size -= length;
    const rest = all.subarray(length);
    if (rest.length > 0) this.#chunks[0] = rest;
    else this.#chunks.shift();
    return all.subarray(0, length);
  }
}

function broken(what: string): StreamingError {
  return new StreamingError(`read SPDY frame: ${what}`, { code: 'protocol' });
}

function readData(frame: Buffer): Frame {
  const fin = ((frame[4] as number) & flagFin) !== 0;
  return { type: 'data', streamId: frame.readUInt32BE(0), fin, data: frame.subarray(headerSize) };
}

function readControl(frame: Buffer): Frame {
  const version = frame.readUInt16BE(0) & 0x7fff;
  if (version !== 3) throw broken(`version ${version}, expected 3`);
  const kind = frame.readUInt16BE(2);
  const flags = frame[4] as number;
  const fin = (flags & flagFin) !== 0;
  const body = frame.subarray(headerSize);
  const word = (at: number): number => {
    if (at + 4 > body.length) throw broken('cut short');
    return body.readUInt32BE(at);
  };
  const id = (at: number): number => word(at) & 0x7fffffff;
  switch (kind) {
    case control.synStream: {
      const unidirectional = (flags & flagUnidirectional) !== 0;
      return { type: 'syn-stream', streamId: id(0), fin, unidirectional, headerBlock: body.subarray(10) };
    }
    case control.synReply:
      return { type: 'syn-reply', streamId: id(0), fin, headerBlock: body.subarray(4) };
    case control.headers:
      return { type: 'headers', streamId: id(0), fin, headerBlock: body.subarray(4) };
    case control.rstStream:
      return { type: 'rst-stream', streamId: id(0), status: word(4) };
    case control.settings:
      return { type: 'settings', initialWindow: readInitialWindow(word) };
    case control.ping:
      return { type: 'ping', id: word(0) };
    case control.goaway:
      return { type: 'goaway', lastStreamId: id(0), status: word(4) };
    case control.window:
      return { type: 'window-update', streamId: id(0), delta: id(4) };
    default:
      return { type: 'unknown' };
  }
}

function readInitialWindow(word: (at: number) => number): number | undefined {
  const count = word(0);
  for (let i = 0; i < count; i++) {
    if ((word(4 + i * 8) & 0xffffff) === settingInitialWindow) return word(8 + i * 8);
  }
  return undefined;
}

function controlFrame(kind: number, flags: number, body: Buffer): Buffer {
  const head = Buffer.alloc(headerSize);
  head.writeUInt16BE(0x8003, 0);
  head.writeUInt16BE(kind, 2);
  head[4] = flags;
  head.writeUIntBE(body.length, 5, 3);
  return Buffer.concat([head, body]);
}

function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32BE(value, index * 4));
  return bytes;
}

export const encodeFrame = {
  /** Only the head: the payload follows as it is. */
  dataHead(streamId: number, length: number, fin: boolean): Buffer {
    const head = Buffer.alloc(headerSize);
    head.writeUInt32BE(streamId, 0);
    head[4] = fin ? flagFin : 0;
    head.writeUIntBE(length, 5, 3);
    return head;
  },
  synStream: (streamId: number, headerBlock: Buffer): Buffer =>
    controlFrame(control.synStream, 0, Buffer.concat([words(streamId, 0), Buffer.alloc(2), headerBlock])),
  synReply: (streamId: number, headerBlock: Buffer): Buffer =>
    controlFrame(control.synReply, 0, Buffer.concat([words(streamId), headerBlock])),
  rstStream: (streamId: number, status: number): Buffer => controlFrame(control.rstStream, 0, words(streamId, status)),
  settings: (initialWindow: number): Buffer =>
    controlFrame(control.settings, 0, words(1, settingInitialWindow, initialWindow)),
  ping: (id: number): Buffer => controlFrame(control.ping, 0, words(id)),
  goaway: (lastStreamId: number): Buffer => controlFrame(control.goaway, 0, words(lastStreamId, 0)),
  windowUpdate: (streamId: number, delta: number): Buffer => controlFrame(control.window, 0, words(streamId, delta)),
};
