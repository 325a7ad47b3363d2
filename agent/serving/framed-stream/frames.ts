/**
 * What travels on an upgraded connection: `type (1 byte) | length (4 bytes, big endian) | payload`. Small enough that any language
 * can speak it; the kinds are those of Kubernetes' own channels, plus an end of input.
 */
export const frameTypes = {
  stdin: 0,
  stdout: 1,
  stderr: 2,
  /** JSON: `{"columns": 80, "rows": 24}`. */
  resize: 3,
  /** JSON: `StreamEnd`; the last frame from the agent. */
  end: 4,
  /** The sender will send no more of stdin (to the agent) or stdout (from it). Empty. */
  eof: 5,
} as const;

export type FrameType = (typeof frameTypes)[keyof typeof frameTypes];

/** How a stream ended: with the exit code of a command, with an error in words, or simply. */
export interface StreamEnd {
  readonly exitCode?: number | undefined;
  readonly error?: { readonly reason: string; readonly message: string } | undefined;
}

export interface Frame {
  readonly type: FrameType;
  readonly payload: Buffer;
}

const headerBytes = 5;
/** Larger frames are refused: no honest sender makes one. */
export const maxFrameBytes = 1024 * 1024;

export function encodeFrame(type: FrameType, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes + payload.length);
  frame.writeUInt8(type, 0);
  frame.writeUInt32BE(payload.length, 1);
  frame.set(payload, headerBytes);
  return frame;
}

/** Cuts a byte stream into frames; pieces may come in any size. */
export class FrameDecoder {
  #held: Buffer = Buffer.alloc(0);

  /** The frames that are whole now. Throws on what is no frame; the connection is of no use then. */
  push(chunk: Buffer): Frame[] {
    let rest = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const frames: Frame[] = [];
    while (rest.length >= headerBytes) {
      const type = rest.readUInt8(0);
      const length = rest.readUInt32BE(1);
      if (!isFrameType(type)) throw new Error(`read stream: unknown frame type ${type}`);
      if (length > maxFrameBytes) throw new Error(`read stream: a frame of ${length} bytes, at most ${maxFrameBytes}`);
      if (rest.length < headerBytes + length) break;
      frames.push({ type, payload: rest.subarray(headerBytes, headerBytes + length) });
      rest = rest.subarray(headerBytes + length);
    }
    this.#held = rest;
    return frames;
  }
}

const known: ReadonlySet<number> = new Set(Object.values(frameTypes));
const isFrameType = (type: number): type is FrameType => known.has(type);
