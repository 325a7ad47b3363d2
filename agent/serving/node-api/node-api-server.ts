import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { errorText } from '../../../base/errors.js';
import type { Logger } from '../../../base/log.js';
import { linkSignal } from '../../../base/signals.js';
import { CriError, type CriCode } from '../../../cri/index.js';
import { FrameConnection, frameTypes, streamProtocol, type StreamEnd } from '../framed-stream/index.js';
import { ApiError, reasonStatus, statusBody, type ApiReason } from './api-error.js';
import type { ApiRequest, CallRoute, Route, StreamRoute } from './route.js';
import { Router } from './router.js';

export interface NodeApiDeps {
  readonly log: Logger;
}

/** The whole command of an exec stands in the request's line. */
const longestHeadBytes = 1024 * 1024;

/** HTTP and JSON over the socket it is given; before `serve` every call is told that the agent starts. */
export class NodeApiServer implements AsyncDisposable {
  readonly http: Server;
  readonly #deps: NodeApiDeps;
  readonly #stop = new AbortController();
  readonly #upgraded = new Set<Duplex>();
  #router: Router | undefined;

  constructor(deps: NodeApiDeps) {
    this.#deps = deps;
    const settings = { maxHeaderSize: longestHeadBytes };
    this.http = createServer(settings, (request, response) => void this.#answer(request, response));
    // A watch may be silent for hours.
    this.http.requestTimeout = 0;
    this.http.on('upgrade', (request, socket, head) => void this.#upgrade(request, socket, head));
  }

  serve(routes: readonly Route[]): void {
    this.#router = new Router(routes);
  }

  /** Ends watches and streams, then the server. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('the agent stops', 'AbortError'));
    const closed = new Promise<void>((resolve) => this.http.close(() => resolve()));
    this.http.closeAllConnections();
    for (const socket of this.#upgraded) socket.destroy();
    await closed;
  }

  #find(request: IncomingMessage): { route: Route; asked: ApiRequest } {
    if (!this.#router) throw new ApiError('ServiceUnavailable', 'answer: the agent is still starting; ask again');
    // Not `URL`: it would take `..` for a step up before anybody could say that there is no such pod.
    const { url = '/' } = request;
    const mark = url.includes('?') ? url.indexOf('?') : url.length;
    const [path, query] = [url.slice(0, mark), url.slice(mark + 1)];
    const { route, params } = this.#router.find(request.method ?? 'GET', path);
    return { route, asked: { params, query: new URLSearchParams(query), raw: request } };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    using link = linkSignal(this.#stop.signal);
    response.on('close', () => link.abort(new DOMException('the client went', 'AbortError')));
    response.on('error', () => {});
    try {
      const { route, asked } = this.#find(request);
      if ('prepare' in route)
        throw new ApiError('UpgradeRequired', `${route.path}: ask with Upgrade: ${streamProtocol}`);
      await writeAnswer(route, asked, response, link.signal);
    } catch (err) {
      if (link.signal.aborted) response.destroy();
      else this.#refuse(request, response, err);
    }
  }

  #refuse(request: IncomingMessage, response: ServerResponse, err: unknown): void {
    const { reason, body } = failureAnswer(err);
    if (reason === 'InternalError')
      this.#deps.log.error({ path: request.url, err: errorText(err) }, 'node API call failed');
    // Half of a stream is out: cutting it is the only way left to say that it is not whole.
    if (response.headersSent) return void response.destroy();
    // The rest of a body nobody reads would keep the connection from being used again.
    response.writeHead(reasonStatus[reason], { 'content-type': 'application/json', connection: 'close' });
    response.end(JSON.stringify(body));
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    using link = linkSignal(this.#stop.signal);
    const connection = new FrameConnection(socket);
    this.#upgraded.add(socket);
    void connection.closed.then(() => {
      this.#upgraded.delete(socket);
      link.abort(new DOMException('the client went', 'AbortError'));
    });
    try {
      const { route, asked } = this.#find(request);
      if (!('prepare' in route) || request.headers.upgrade !== streamProtocol)
        throw new ApiError('BadRequest', `${asked.raw.url}: does not speak ${request.headers.upgrade ?? 'that'}`);
      await runStream(route, asked, connection, socket, head, link.signal);
    } catch (err) {
      const { reason, body } = failureAnswer(err);
      const text = JSON.stringify(body);
      socket.end(
        `HTTP/1.1 ${reasonStatus[reason]} ${reason}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
      );
    }
  }
}

async function writeAnswer(
  route: CallRoute,
  asked: ApiRequest,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const answer = await route.handle(asked, signal);
  if (answer.kind === 'value') {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer.value));
    return;
  }
  response.writeHead(200, { 'content-type': answer.contentType });
  response.flushHeaders();
  await answer.write(response, signal);
  response.end();
}

/** What fails before the switch is refused by the caller; what fails after it is the last frame. */
async function runStream(
  route: StreamRoute,
  asked: ApiRequest,
  connection: FrameConnection,
  socket: Duplex,
  head: Buffer,
  signal: AbortSignal,
): Promise<void> {
  const session = await route.prepare(asked, signal);
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${streamProtocol}\r\n\r\n`);
  let end: StreamEnd;
  try {
    end = await session(connection, head, signal);
  } catch (err) {
    end = { error: { reason: failureAnswer(err).reason, message: errorText(err) } };
  }
  connection.sendJson(frameTypes.end, end);
  connection.end();
}

const criReasons: Partial<Record<CriCode, ApiReason>> = {
  'not-found': 'NotFound',
  'invalid-argument': 'BadRequest',
  'failed-precondition': 'Conflict',
  'already-exists': 'Conflict',
  unimplemented: 'NotImplemented',
  unavailable: 'ServiceUnavailable',
};

/** The one place where failures become HTTP. */
function failureAnswer(err: unknown): { reason: ApiReason; body: ReturnType<typeof statusBody> } {
  if (err instanceof ApiError) {
    const { code, problems } = err.failure;
    return { reason: code, body: statusBody(code, err.message, problems) };
  }
  const reason = (err instanceof CriError ? criReasons[err.failure.code] : undefined) ?? 'InternalError';
  return { reason, body: statusBody(reason, errorText(err)) };
}
