import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { linkSignal } from '../../base/signals.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { criError } from '../contract/cri-error.js';
import type { ContainerIo, StreamingService } from '../contract/streaming-service.js';
import {
  StreamingError,
  acceptCommand,
  acceptPortForward,
  refuseUpgrade,
  type CommandOutcome,
} from '../streaming/index.js';
import { OneTimeTokens } from './one-time-tokens.js';

type Pending =
  | { readonly verb: 'exec'; readonly request: v1.ExecRequest }
  | { readonly verb: 'attach'; readonly request: v1.AttachRequest }
  | { readonly verb: 'portforward'; readonly request: v1.PortForwardRequest };

export interface StreamingServerOptions {
  /** Default 127.0.0.1. */
  readonly host: string;
  /** Default 0: any free port. */
  readonly port: number;
}

export interface StreamingServerDeps {
  readonly streaming: StreamingService;
  readonly log: Logger;
}

/** What the kubelet's own server uses: a URL is good for a minute. */
const tokenLifetimeMs = 60_000;
const maxTokens = 1000;

/** The HTTP server behind the URLs that Exec, Attach and PortForward answer. */
export class StreamingServer implements AsyncDisposable {
  readonly #deps: StreamingServerDeps;
  readonly #tokens = new OneTimeTokens<Pending>(tokenLifetimeMs, maxTokens);
  readonly #server: Server;
  readonly #closing = new AbortController();
  readonly #sockets = new Set<Duplex>();
  #baseUrl = '';

  private constructor(deps: StreamingServerDeps) {
    this.#deps = deps;
    this.#server = createServer((_request, response) => {
      response.writeHead(400, { 'Content-Type': 'text/plain' }).end('this is for SPDY/3.1 and WebSocket clients\n');
    });
    this.#server.on('upgrade', (request, socket: Duplex, head) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      void this.#serve(request, socket, head);
    });
  }

  static async open(options: StreamingServerOptions, deps: StreamingServerDeps): Promise<StreamingServer> {
    const streaming = new StreamingServer(deps);
    await new Promise<void>((resolve, reject) => {
      streaming.#server.once('error', reject);
      streaming.#server.listen(options.port, options.host, resolve);
    });
    const { address, family, port } = streaming.#server.address() as AddressInfo;
    streaming.#baseUrl = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
    return streaming;
  }

  url(pending: Pending): string {
    return `${this.#baseUrl}/${pending.verb}/${this.#tokens.issue(pending)}`;
  }

  async #serve(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const [, verb, token = ''] = /^\/(exec|attach|portforward)\/([\w-]+)(?:\?|$)/.exec(request.url ?? '') ?? [];
    const pending = this.#tokens.take(token);
    if (pending === undefined || pending.verb !== verb) {
      return refuseUpgrade(socket, 404, 'no such stream: the URL was used, is too old, or was never given');
    }
    try {
      if (pending.verb === 'portforward') await this.#forward(pending.request, request, socket, head);
      else await this.#command(pending, request, socket, head);
    } catch (err) {
      socket.destroy();
      if (!(err instanceof StreamingError)) this.#deps.log.warn({ verb, err: errorText(err) }, 'stream failed');
    }
  }

  async #command(
    pending: Exclude<Pending, { verb: 'portforward' }>,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
  ): Promise<void> {
    const { stdin = false, stdout = false, stderr = false, tty = false } = pending.request;
    const session = await acceptCommand(request, socket, head, { stdin, stdout, stderr, tty }, this.#closing.signal);
    using ending = linkSignal(this.#closing.signal);
    session.gone.addEventListener('abort', () => ending.abort(session.gone.reason), { once: true });
    if (session.gone.aborted) ending.abort(session.gone.reason);
    await session.finish(await this.#outcome(pending, session.io, ending.signal));
  }

  async #outcome(
    pending: Exclude<Pending, { verb: 'portforward' }>,
    io: ContainerIo,
    signal: AbortSignal,
  ): Promise<CommandOutcome> {
    const { streaming } = this.#deps;
    try {
      if (pending.verb === 'exec') return { kind: 'exited', ...(await streaming.exec(pending.request, io, signal)) };
      await streaming.attach(pending.request, io, signal);
      return { kind: 'exited', exitCode: 0 };
    } catch (err) {
      return { kind: 'failed', message: errorText(err) };
    }
  }

  async #forward(
    { podSandboxId = '', port = [] }: v1.PortForwardRequest,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
  ): Promise<void> {
    await acceptPortForward(request, socket, head, port, async (port, connection, gone) => {
      using ending = linkSignal(this.#closing.signal);
      gone.addEventListener('abort', () => ending.abort(gone.reason), { once: true });
      await this.#deps.streaming.portForward({ podSandboxId, port }, connection, ending.signal);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(criError('unavailable', 'stream: the server is closing'));
    this.#tokens[Symbol.dispose]();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
