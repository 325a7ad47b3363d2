import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { PathAuthorities } from './path-authority.js';

/** A connection of a gRPC client, with what older ones say amiss put right on its way in. */
export class ClientConnection extends Duplex {
  readonly #socket: Socket;
  readonly #authorities = new PathAuthorities();

  constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      const bytes = this.#authorities.next(chunk);
      if (bytes.length > 0 && !this.push(bytes)) socket.pause();
    });
    socket.on('end', () => this.push(null));
    socket.on('error', (err) => this.destroy(err));
    socket.on('close', () => this.destroy());
    socket.pause();
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (err?: Error | null) => void): void {
    this.#socket.write(chunk, done);
  }

  override _final(done: () => void): void {
    this.#socket.end(done);
  }

  override _destroy(err: Error | null, done: (err: Error | null) => void): void {
    this.#socket.destroy();
    done(err);
  }
}
