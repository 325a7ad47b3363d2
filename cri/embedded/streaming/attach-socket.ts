import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable } from 'node:stream';
import { orAbort } from '../../../base/signals.js';
import { criError } from '../../contract/cri-error.js';
import { programEnv } from '../host/oci-program.js';
import type { LogPiece } from './log-lines.js';
import { PacketDump } from './packet-dump.js';

/** Longer than conmon's longest packet: a stream byte and 8 KiB. */
const packetBytes = '16384';

/**
 * The output of a container that keeps no log, from conmon's attach socket. Each packet there begins with a byte that names the
 * stream, and Node can open no SOCK_SEQPACKET: socat reads it and dumps every packet with its length, so that no border is lost.
 */
export class AttachSocket implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<null, null, Readable>;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #dump = new PacketDump();
  readonly #closed: Promise<void>;

  private constructor(folder: string) {
    // The folder is the working directory since a socket's path is short.
    this.#child = spawn('socat', ['-u', '-x', '-d', '-d', '-b', packetBytes, 'UNIX-CONNECT:attach,type=5', '-'], {
      cwd: folder,
      env: programEnv,
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    this.#closed = new Promise((resolve) => {
      this.#child.once('close', () => resolve());
      this.#child.once('error', () => resolve());
    });
    this.#chunks = this.#child.stderr[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** Connected when this resolves: conmon answers those first who came first, so output that later input brings about is seen. */
  static async open(folder: string, what: string, signal: AbortSignal): Promise<AttachSocket> {
    const socket = new AttachSocket(folder);
    try {
      while (!socket.#dump.begun) {
        if (await orAbort(socket.#readMore(), signal)) continue;
        throw criError('unavailable', `${what}: ${socket.#dump.lastWords || 'socat could not be started'}`);
      }
      return socket;
    } catch (err) {
      await socket[Symbol.asyncDispose]();
      throw err;
    }
  }

  /** Until the container's end closes the socket, or the signal aborts. */
  async *pieces(signal: AbortSignal): AsyncGenerator<LogPiece, void, undefined> {
    const kill = (): void => void this.#child.kill('SIGKILL');
    signal.addEventListener('abort', kill, { once: true });
    try {
      do {
        yield* this.#dump.take();
      } while (!signal.aborted && (await this.#readMore()));
      yield* this.#dump.take();
    } finally {
      signal.removeEventListener('abort', kill);
    }
  }

  async #readMore(): Promise<boolean> {
    const { done, value } = await this.#chunks.next();
    if (done === true) return false;
    this.#dump.push(value);
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    this.#child.stderr.destroy();
    await this.#closed;
  }
}
