import { ServerResponse, type IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { errorText } from '../../../base/errors.js';
import type { Logger } from '../../../base/log.js';
import { linkSignal } from '../../../base/signals.js';
import type { ApiHandlers } from './api-handlers.js';
import { clientCertificate, type Authenticator, type Authorizer, type ClientCertificate } from './auth/index.js';
import { findRoute } from './find-route.js';
import type { ApiCall, StreamSession } from './handlers/call.js';
import { isClientFault } from './handlers/streams.js';
import { HttpError, toHttpError } from './http-error.js';
import type { RequestMetrics } from './request-metrics.js';
import { parseTarget, type RequestTarget } from './request-target.js';
import type { StreamRouteName } from './route-table.js';
import type { KubeletApiSettings } from './settings.js';
import { cipherList } from './tls/cipher-suites.js';
import { curveList } from './tls/curves.js';
import type { TlsMaterial } from './tls/read-material.js';

export interface KubeletApiServerDeps {
  readonly log: Logger;
  readonly handlers: ApiHandlers;
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly metrics: RequestMetrics;
}

/** Longer than clients keep unused connections, so that it is never the server that closes one that is about to be used. */
const idleMs = 120_000;
/** As a kubelet: the whole command of an exec stands in the request's line. */
const longestHeadBytes = 1024 * 1024;
/** Between probes of a connection on which nothing is said. */
const keepAliveMs = 15_000;
const streamNames: ReadonlySet<string> = new Set<StreamRouteName>(['exec', 'attach', 'portForward']);

/**
 * HTTPS and the order of things: who asks, whether they may, and only then what is asked for. Upgrades go the same way and are
 * answered in plain HTTP until they are granted.
 */
export class KubeletApiServer implements AsyncDisposable {
  readonly #settings: KubeletApiSettings;
  readonly #deps: KubeletApiServerDeps;
  readonly #stop = new AbortController();
  readonly #upgraded = new Set<Duplex>();
  /** With which client authorities a connection was made; what has been replaced since vouches for nobody. */
  readonly #madeUnder = new WeakMap<object, number>();
  #generation = 0;
  #material: TlsMaterial | undefined;
  #server: Server | undefined;

  constructor(settings: KubeletApiSettings, deps: KubeletApiServerDeps) {
    this.#settings = settings;
    this.#deps = deps;
  }

  /** Undefined while it does not listen. */
  get address(): AddressInfo | undefined {
    const address = this.#server?.address();
    return typeof address === 'object' && address !== null ? address : undefined;
  }

  /** New connections get these from now on; credentials that another authority vouched for no longer count. */
  use(material: TlsMaterial): void {
    const before = this.#material;
    this.#material = material;
    if (!this.#server) return;
    this.#server.setSecureContext(this.#tlsOptions(material));
    if (before?.clientCa === material.clientCa) return;
    this.#generation++;
    this.#server.closeIdleConnections();
  }

  /** Rejects when the port cannot be had; may be tried again. Needs material. */
  async listen(): Promise<void> {
    const material = this.#material;
    if (!material) throw new Error('listen: there is no serving certificate yet');
    const server = this.#makeServer(material);
    const { address, port } = this.#settings;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, address, () => {
        server.off('error', reject);
        resolve();
      });
    });
    this.#server = server;
    if (this.#stop.signal.aborted) await this[Symbol.asyncDispose]();
  }

  /** Ends streams and followed logs, then the server. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('the agent stops', 'AbortError'));
    for (const socket of this.#upgraded) socket.destroy();
    const server = this.#server;
    if (!server?.listening) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
  }

  /** The certificate of whoever asks, as far as it still counts. */
  readonly certificateOf = (request: IncomingMessage): ClientCertificate => {
    const socket = request.socket as TLSSocket;
    if (this.#material?.clientCa === undefined) return { kind: 'none' };
    const found = clientCertificate(socket, Date.now());
    if (found.kind !== 'user' || this.#madeUnder.get(socket) === this.#generation) return found;
    return { kind: 'bad', reason: 'the client authorities were replaced since the connection was made' };
  };

  #tlsOptions({ cert, key, clientCa }: TlsMaterial): object {
    const { minVersion, cipherSuites, curves } = this.#settings.tls;
    const ecdhCurve = curveList(curves);
    // Without authorities Node would trust the public ones; then no certificate is looked at.
    const ciphers = cipherList(cipherSuites);
    const own = { cert, key, minVersion, ca: clientCa ?? [], ciphers, honorCipherOrder: true };
    return { ...own, ...(ecdhCurve !== undefined && { ecdhCurve }) };
  }

  #makeServer(material: TlsMaterial): Server {
    const requestCert = this.#settings.authentication.clientCaFile !== undefined;
    const connections = { keepAliveTimeout: idleMs, maxHeaderSize: longestHeadBytes };
    const server = createServer(
      { ...this.#tlsOptions(material), ...connections, requestCert, rejectUnauthorized: false },
      (request, response) => void this.#answer(request, response),
    );
    server.on('secureConnection', (socket: TLSSocket) => this.#madeUnder.set(socket, this.#generation));
    server.on('tlsClientError', (err) => this.#deps.log.debug({ err: errorText(err) }, 'a TLS handshake failed'));
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    return server;
  }

  /** Until it is granted, an upgrade is a request like any other, on a connection that is closed after the answer. */
  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#upgraded.add(socket);
    socket.once('close', () => this.#upgraded.delete(socket));
    socket.on('error', () => {});
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket as TLSSocket);
    const onDrain = (): boolean => response.emit('drain');
    socket.on('drain', onDrain);
    response.once('finish', () => {
      response.detachSocket(socket as TLSSocket);
      socket.end();
    });
    void this.#answer(request, response, async (session, signal) => {
      response.detachSocket(socket as TLSSocket);
      socket.off('drain', onDrain);
      this.#endWhenIdle(request, socket as TLSSocket);
      using link = linkSignal(signal);
      await session(socket, head, link.signal);
    });
  }

  /** A client that vanished without a word would keep its command running, and its memory, for ever. */
  #endWhenIdle(request: IncomingMessage, socket: TLSSocket): void {
    const { streamIdleMs } = this.#settings;
    socket.setKeepAlive(true, keepAliveMs);
    if (streamIdleMs <= 0) return;
    const bytes = (): number => socket.bytesRead + socket.bytesWritten;
    let [seen, since] = [bytes(), performance.now()];
    // The socket's own time-out is taken off by the WebSocket protocol.
    const look = (): void => {
      if (bytes() !== seen) [seen, since] = [bytes(), performance.now()];
      if (performance.now() - since < streamIdleMs) return;
      this.#deps.log.info({ path: request.url?.split('?')[0], idleMs: streamIdleMs }, 'a stream was idle and is ended');
      socket.destroy();
    };
    const timer = setInterval(look, Math.min(streamIdleMs / 4, 60_000)).unref();
    socket.once('close', () => clearInterval(timer));
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    takeOver?: (session: StreamSession, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    using link = linkSignal(this.#stop.signal);
    response.on('close', () => link.abort(new DOMException('the client went', 'AbortError')));
    response.on('error', () => {});
    const target = parseTarget(request.url ?? '');
    const done = this.#deps.metrics.begin(request.method ?? '', target.segments[0] ?? '');
    let granted = false;
    try {
      const { call, name } = await this.#admit(request, target, link.signal);
      if (isStream(name)) {
        const session = this.#deps.handlers.streams[name](call);
        if (!takeOver) throw new HttpError(400, 'Upgrade request required');
        granted = true;
        if (request.headers.upgrade?.toLowerCase() === 'websocket') this.#deps.metrics.webSocket(name);
        await takeOver(session, this.#stop.signal);
      } else {
        await this.#deps.handlers.calls[name](call, response, link.signal);
      }
    } catch (err) {
      if (granted) this.#streamEnded(request, err);
      else if (link.signal.aborted) response.destroy();
      else this.#refuse(request, response, err);
    } finally {
      done();
    }
  }

  async #admit(request: IncomingMessage, target: RequestTarget, signal: AbortSignal) {
    const { authenticator, authorizer } = this.#deps;
    const method = request.method ?? '';
    const user = await authenticator.authenticate(request, signal);
    await authorizer.authorize(user, method, target.path, signal);
    const { name, params } = findRoute(method, target, this.#settings.debuggingHandlers);
    const call: ApiCall = { method, params, query: target.query, request };
    return { name, call };
  }

  #refuse(request: IncomingMessage, response: ServerResponse, err: unknown): void {
    const failure = toHttpError(err);
    const { status } = failure.failure;
    const path = request.url?.split('?')[0];
    if (status >= 500) this.#deps.log.warn({ path, status, err: errorText(err) }, 'kubelet API call failed');
    // Half of an answer is out: cutting it is the only way left to say that it is not whole.
    if (response.headersSent) return void response.destroy();
    response.writeHead(status, {
      'content-type': 'text/plain; charset=utf-8',
      'x-content-type-options': 'nosniff',
      // A body that nobody reads would keep the connection from being used again.
      connection: 'close',
      ...failure.headers,
    });
    response.end(failure.message);
  }

  #streamEnded(request: IncomingMessage, err: unknown): void {
    const path = request.url?.split('?')[0];
    if (this.#stop.signal.aborted || isClientFault(err)) return;
    this.#deps.log.warn({ path, err: errorText(err) }, 'a stream of the kubelet API broke off');
  }
}

const isStream = (name: string): name is StreamRouteName => streamNames.has(name);
