import { Writable } from 'node:stream';

/** Both streams of an ExecSync together: what the interface allows an answer to hold, and less than a message of 16 MiB may be long. */
const mostBytes = 16_000_000;

/** Keeps the first bytes of what a command says; the rest is read and dropped, so that the command is not held up. */
export class SyncOutput {
  readonly stdout: Collected;
  readonly stderr: Collected;

  constructor(limit = mostBytes) {
    const room = { left: limit };
    this.stdout = new Collected(room);
    this.stderr = new Collected(room);
  }
}

class Collected extends Writable {
  readonly #chunks: Buffer[] = [];
  readonly #room: { left: number };

  constructor(room: { left: number }) {
    super();
    this.#room = room;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const kept = chunk.subarray(0, this.#room.left);
    if (kept.length > 0) this.#chunks.push(kept);
    this.#room.left -= kept.length;
    done();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}
