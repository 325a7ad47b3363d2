import { Duplex } from 'node:stream';
import type { SpdyHeaders } from './headers.js';

/** What a stream needs of its connection. */
export interface StreamLink {
  /** Calls back when the socket took the bytes. */
  sendData(streamId: number, data: Buffer, fin: boolean, done: (err?: Error | null) => void): void;
  sendWindowUpdate(streamId: number, delta: number): void;
  /** False while the other end does no flow control: then no window limits what we send. */
  peerHasWindows(): boolean;
  /** The stream is gone; `reset` when one of its directions was still open. */
  gone(streamId: number, reset: boolean): void;
}

/** Bytes of one stream that may lie unread here. */
export const receiveWindow = 256 * 1024;
const maxFrameBytes = 32 * 1024;

/** One SPDY stream. Ending the writable side half-closes it; destroying it resets it. */
export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: SpdyHeaders;
  readonly #link: StreamLink;
  #sendWindow: number;
  #pending: { data: Buffer; done: (err?: Error | null) => void } | undefined;
  #uncredited = 0;
  #remoteEnded = false;
  #localEnded = false;
  #drained: (() => void) | undefined;
  #lost = false;

  constructor(id: number, headers: SpdyHeaders, sendWindow: number, link: StreamLink) {
    super({ allowHalfOpen: true, readableHighWaterMark: 64 * 1024, writableHighWaterMark: 64 * 1024 });
    this.id = id;
    this.headers = headers;
    this.#sendWindow = sendWindow;
    this.#link = link;
    // The connection reports how it ended to its owner; a stream nobody listens to must not end the process.
    this.on('error', () => {});
  }

  /** Takes a data frame; resolves when there is room for more. */
  async receive(data: Buffer, fin: boolean): Promise<void> {
    if (this.destroyed || this.#remoteEnded) return;
    if (data.length > 0) {
      this.#uncredited += data.length;
      this.push(data);
      this.#credit();
    }
    if (fin) this.receiveEnd();
    else if (this.readableLength > receiveWindow) await new Promise<void>((resolve) => (this.#drained = resolve));
  }

  receiveEnd(): void {
    if (this.#remoteEnded) return;
    this.#remoteEnded = true;
    this.push(null);
  }

  /**
   * The other end reset the stream, or the connection is over. What came before can still be read, then the stream ends: the
   * common servers reset every stream as soon as their last words are written.
   */
  lose(): void {
    this.#lost = true;
    this.#drained?.();
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.done();
    this.receiveEnd();
    if (this.readableEnded) this.destroy();
    else this.once('end', () => this.destroy());
  }

  /** True when the stream did not end by both ends closing it. */
  get lost(): boolean {
    return this.#lost;
  }

  grow(delta: number): void {
    this.#sendWindow += delta;
    this.#sendPending();
  }

  /** Every way to take data out ends here, or in `receive` when it never lay in the buffer. */
  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    this.#credit();
    return chunk;
  }

  override _read(): void {}

  #credit(): void {
    if (this.readableLength <= receiveWindow / 2) {
      this.#drained?.();
      this.#drained = undefined;
    }
    const consumed = this.#uncredited - this.readableLength;
    if (this.#lost || this.#remoteEnded || consumed < receiveWindow / 2) return;
    this.#uncredited -= consumed;
    // A peer without windows may be gone already: bytes it never reads would make its kernel reset the connection.
    if (this.#link.peerHasWindows()) this.#link.sendWindowUpdate(this.id, consumed);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (err?: Error | null) => void): void {
    if (this.#lost) return done();
    this.#pending = { data: chunk, done };
    this.#sendPending();
  }

  override _final(done: (err?: Error | null) => void): void {
    this.#localEnded = true;
    if (this.#lost) return done();
    this.#link.sendData(this.id, Buffer.alloc(0), true, () => done());
  }

  override _destroy(err: Error | null, done: (err?: Error | null) => void): void {
    this.#drained?.();
    const pending = this.#pending;
    this.#pending = undefined;
    this.#link.gone(this.id, !(this.#remoteEnded && this.#localEnded));
    pending?.done(err ?? new Error('stream reset'));
    done(err);
  }

  #sendPending(): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    const room = this.#link.peerHasWindows() ? Math.max(0, this.#sendWindow) : pending.data.length;
    if (room === 0 && pending.data.length > 0) return;
    const piece = pending.data.subarray(0, Math.min(room, maxFrameBytes));
    const rest = pending.data.subarray(piece.length);
    this.#sendWindow -= piece.length;
    this.#pending = undefined;
    this.#link.sendData(this.id, piece, false, (err) => {
      // A socket that fails takes the whole connection with it, and the connection says so.
      if (err || this.#lost || this.destroyed || rest.length === 0) return pending.done();
      this.#pending = { data: rest, done: pending.done };
      this.#sendPending();
    });
  }
}
