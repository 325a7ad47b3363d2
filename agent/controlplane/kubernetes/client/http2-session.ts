import { connect as connectHttp2, constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { isIP } from 'node:net';
import { errorText } from '../../../../base/errors.js';
import { orAbort } from '../../../../base/signals.js';
import { ApiError } from './api-error.js';
import type { Credentials } from './credentials.js';
import { onLocalAddressGone } from './local-address.js';
import type { HttpAnswer, HttpRequest } from './transport.js';

const connectTimeoutMs = 10_000;
/** As the kubelet: a connection on which nothing comes back for this long is dead, whatever the kernel thinks. */
const pingEveryMs = 30_000;
const pingTimeoutMs = 15_000;
const windowBytes = 1024 * 1024;

/** A TLS connection to the server and the protocol both agreed on. */
export async function openSocket(
  server: URL,
  { tls }: Credentials,
  signal: AbortSignal,
): Promise<{ socket: TLSSocket; http2: boolean }> {
  const host = server.hostname.replace(/^\[|\]$/g, '');
  const name = tls.serverName ?? host;
  const options = {
    host,
    port: Number(server.port || 443),
    ALPNProtocols: ['h2', 'http/1.1'],
    ...(isIP(name) === 0 && { servername: name }),
    ...(tls.serverName !== undefined && isIP(tls.serverName) === 0 && { servername: tls.serverName }),
    ...(tls.ca !== undefined && { ca: tls.ca }),
    ...(tls.cert !== undefined && { cert: tls.cert }),
    ...(tls.key !== undefined && { key: tls.key }),
    rejectUnauthorized: !tls.insecure,
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
    noDelay: true,
  };
  const socket = await new Promise<TLSSocket>((resolve, reject) => {
    const fail = (err: unknown): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      made?.destroy();
      reject(signal.aborted ? (signal.reason as Error) : connectionError(server, err));
    };
    const onAbort = (): void => fail(signal.reason);
    const timer = setTimeout(() => fail(new Error(`no connection within ${connectTimeoutMs} ms`)), connectTimeoutMs);
    signal.addEventListener('abort', onAbort, { once: true });
    let made: TLSSocket | undefined;
    try {
      // Throws at once for a key or certificate that is none.
      made = connectTls(options, () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        made?.removeListener('error', fail);
        resolve(made as TLSSocket);
      });
      made.once('error', fail);
    } catch (err) {
      fail(err);
    }
  });
  return { socket, http2: socket.alpnProtocol === 'h2' };
}

const trustCodes =
  /^(CERT_|ERR_TLS_CERT|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED|UNABLE_TO_|ERR_OSSL_X509|HOSTNAME_MISMATCH)/;

export function connectionError(server: URL, cause: unknown): ApiError {
  const code = cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
  const words = errorText(cause) || code;
  if (trustCodes.test(code))
    return new ApiError(
      `connect to ${server.host}: its certificate is not trusted (${code}: ${words})`,
      { code: 'untrusted' },
      { cause },
    );
  return new ApiError(`connect to ${server.host}: ${words}`, { code: 'unreachable' }, { cause });
}

/** One HTTP/2 connection. */
export class Http2Session {
  readonly #server: URL;
  readonly #session: ClientHttp2Session;
  readonly #ping: NodeJS.Timeout;
  #open = 0;
  #usable = true;
  #why = 'the connection ended';

  constructor(server: URL, socket: TLSSocket) {
    this.#server = server;
    this.#session = connectHttp2(server.origin, {
      createConnection: () => socket,
      settings: { initialWindowSize: windowBytes, enablePush: false },
    });
    this.#session.once('connect', () => this.#session.setLocalWindowSize(4 * windowBytes));
    // Each stream says why it ended; without this listener the process would end too.
    this.#session.on('error', (err: Error) => this.#gone(errorText(err)));
    this.#session.once('close', () => this.#gone(this.#why));
    this.#session.once('goaway', () => (this.#usable = false));
    this.#ping = setInterval(() => this.#checkAlive(), pingEveryMs);
    this.#ping.unref();
    onLocalAddressGone(socket, (reason) => this.destroy(reason));
  }

  /** True when one more request may be sent. */
  get hasRoom(): boolean {
    const limit = this.#session.remoteSettings?.maxConcurrentStreams ?? 100;
    return this.#usable && !this.#session.closed && !this.#session.destroyed && this.#open < Math.max(limit - 2, 1);
  }

  get isIdle(): boolean {
    return this.#open === 0;
  }

  async send(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    signal.throwIfAborted();
    const stream = this.#request(request);
    const onAbort = (): void => stream.close(constants.NGHTTP2_CANCEL);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#open++;
    let failure: unknown;
    stream.on('error', (err) => (failure = err));
    stream.once('close', () => {
      this.#open--;
      signal.removeEventListener('abort', onAbort);
    });
    const answered = new Promise<HttpAnswer>((resolve, reject) => {
      stream.once('response', (headers) => {
        const plain = headers as Readonly<Record<string, string | undefined>>;
        resolve({ status: headers[':status'] ?? 0, headers: plain, body: stream });
      });
      stream.once('close', () => reject(connectionError(this.#server, failure ?? new Error(this.#why))));
    });
    if (request.body !== undefined) stream.end(request.body);
    return await orAbort(answered, signal);
  }

  #request({ method, path, headers, body }: HttpRequest): ClientHttp2Stream {
    try {
      // Node takes a DELETE for one without a body unless it is told.
      return this.#session.request({ ':method': method, ':path': path, ...headers }, { endStream: body === undefined });
    } catch (err) {
      this.#usable = false;
      throw connectionError(this.#server, err);
    }
  }

  /** Breaks the connection and everything on it, in these words. */
  destroy(reason: string): void {
    this.#gone(reason);
    this.#session.destroy(new Error(reason));
  }

  #gone(why: string): void {
    this.#usable = false;
    this.#why = why;
    clearInterval(this.#ping);
  }

  #checkAlive(): void {
    if (this.#session.destroyed) return;
    const timer = setTimeout(() => this.destroy(`no answer to a ping within ${pingTimeoutMs} ms`), pingTimeoutMs);
    try {
      this.#session.ping((err) => {
        clearTimeout(timer);
        if (err) this.destroy(errorText(err));
      });
    } catch {
      clearTimeout(timer);
    }
  }
}
