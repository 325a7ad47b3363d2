import { orAbort } from '../../../../base/signals.js';
import type { Credentials } from './credentials.js';
import { Http2Session, openSocket } from './http2-session.js';
import type { HttpAnswer, HttpRequest, OpenTransport, Transport } from './transport.js';

/**
 * One HTTP/2 connection for all requests and watches, a second one when the server's limit of streams is reached. A server
 * that only speaks HTTP/1.1 is spoken to through undici, which is loaded then.
 */
class Http2Transport implements Transport {
  readonly #server: URL;
  readonly #credentials: Credentials;
  readonly #stop = new AbortController();
  #sessions: Http2Session[] = [];
  #opening: Promise<Http2Session | Transport> | undefined;
  #http1: Transport | undefined;

  constructor(server: URL, credentials: Credentials) {
    this.#server = server;
    this.#credentials = credentials;
  }

  async send(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    if (this.#http1) return await this.#http1.send(request, signal);
    const session = this.#sessions.find((each) => each.hasRoom) ?? (await this.#open(signal));
    return await session.send(request, signal);
  }

  reset(reason: string): void {
    for (const session of this.#sessions) session.destroy(reason);
    this.#sessions = [];
    this.#http1?.reset(reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('the connection is closed', 'AbortError'));
    this.reset('the connection is closed');
    await this.#http1?.[Symbol.asyncDispose]();
  }

  /** One at a time: whoever asks while a connection is being made waits for it. */
  async #open(signal: AbortSignal): Promise<Http2Session | Transport> {
    this.#opening ??= this.#connect().finally(() => (this.#opening = undefined));
    return await orAbort(this.#opening, signal);
  }

  async #connect(): Promise<Http2Session | Transport> {
    const { socket, http2 } = await openSocket(this.#server, this.#credentials, this.#stop.signal);
    if (http2) {
      const session = new Http2Session(this.#server, socket);
      this.#sessions = [...this.#sessions.filter((each) => each.hasRoom || !each.isIdle), session];
      return session;
    }
    socket.destroy();
    const { openHttp1Transport } = await import('./http1-transport.js');
    this.#http1 = openHttp1Transport(this.#server, this.#credentials, undefined);
    return this.#http1;
  }
}

export const openHttp2Transport: OpenTransport = (server, credentials) => new Http2Transport(server, credentials);
