import { Duplex, Readable, Writable } from 'node:stream';
import { encodeFrame, FrameDecoder, frameTypes, maxFrameBytes, type Frame, type FrameType } from './frames.js';

/** How often a reader that is paused looks whether the other side is still there: only a write can tell then. */
const probeMs = 1000;
const nothing = Buffer.alloc(0);

/** One end of an upgraded connection. Reading is paused while nobody takes what came: pressure goes back to the sender. */
export class FrameConnection {
  readonly #socket: Duplex;
  readonly #decoder = new FrameDecoder();
  readonly #closed: Promise<void>;
  #onFrame: (frame: Frame) => boolean = () => true;
  #probe: NodeJS.Timeout | undefined;

  constructor(socket: Duplex) {
    this.#socket = socket;
    this.#closed = new Promise((resolve) => socket.once('close', resolve));
    // How the connection broke does not matter to either side; that it closed does.
    socket.on('error', () => {});
    // HTTP keeps its sockets half open; here whoever ends has nothing more to hear.
    socket.once('end', () => socket.destroy());
    socket.once('close', () => clearInterval(this.#probe));
  }

  /** Starts reading. `head` is what came together with the upgrade; the listener returns false to be given no more until `resume`. */
  listen(onFrame: (frame: Frame) => boolean, head: Buffer = nothing): void {
    this.#onFrame = onFrame;
    this.#socket.on('data', (chunk: Buffer) => this.#take(chunk));
    if (head.length > 0) this.#take(head);
  }

  resume(): void {
    clearInterval(this.#probe);
    this.#probe = undefined;
    this.#socket.resume();
  }

  /** Resolves when the other side is gone. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  send(type: FrameType, payload: Uint8Array): void {
    if (this.#socket.writable) this.#socket.write(encodeFrame(type, payload));
  }

  sendJson(type: FrameType, value: unknown): void {
    this.send(type, Buffer.from(JSON.stringify(value)));
  }

  /** A stream whose content goes out as frames of one type, as fast as the other side takes it. */
  writable(type: FrameType): Writable {
    return new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        if (!this.#socket.writable) return done();
        for (let at = 0; at < chunk.length; at += maxFrameBytes) {
          const last = at + maxFrameBytes >= chunk.length;
          const frame = encodeFrame(type, chunk.subarray(at, at + maxFrameBytes));
          this.#socket.write(frame, last ? () => done() : undefined);
        }
        if (chunk.length === 0) done();
      },
    });
  }

  /** Sends what is left and closes. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #pause(): void {
    this.#socket.pause();
    this.#probe ??= setInterval(() => this.send(frameTypes.stdout, nothing), probeMs).unref();
  }

  #take(chunk: Buffer): void {
    try {
      let wanted = true;
      for (const frame of this.#decoder.push(chunk)) wanted = this.#onFrame(frame) && wanted;
      if (!wanted) this.#pause();
    } catch (err) {
      this.#socket.destroy(err instanceof Error ? err : undefined);
    }
  }
}

/** The bytes of one frame type as a stream that can be read; ends with an `eof` frame or the connection. */
export function readableFrames(connection: FrameConnection): { stream: Readable; give(payload: Buffer): boolean } {
  const stream = new Readable({ read: () => connection.resume() });
  void connection.closed.then(() => stream.push(null));
  return {
    stream,
    give: (payload) => (stream.readableEnded || stream.destroyed ? true : stream.push(payload)),
  };
}

/** Both directions of a port-forward as one stream: `stdin` frames come in, `stdout` frames go out. */
export function frameDuplex(connection: FrameConnection, head: Buffer): Duplex {
  const out = connection.writable(frameTypes.stdout);
  const duplex = new Duplex({
    allowHalfOpen: true,
    read: () => connection.resume(),
    write: (chunk: Buffer, encoding, done) => void out.write(chunk, encoding, done),
    final: (done) => {
      connection.send(frameTypes.eof, nothing);
      done();
    },
  });
  void connection.closed.then(() => duplex.destroy());
  connection.listen((frame) => {
    if (frame.type === frameTypes.stdin) return duplex.push(frame.payload);
    if (frame.type === frameTypes.eof) duplex.push(null);
    return true;
  }, head);
  return duplex;
}
