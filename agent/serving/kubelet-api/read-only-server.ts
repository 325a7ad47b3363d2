import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { linkSignal } from '../../../base/signals.js';
import type { ApiHandlers } from './api-handlers.js';
import { findRoute } from './find-route.js';
import { HttpError, toHttpError } from './http-error.js';
import { parseTarget } from './request-target.js';
import { openToAll } from './route-table.js';
import type { CallRouteName } from './route-table.js';

export interface ReadOnlyServerDeps {
  readonly handlers: Pick<ApiHandlers, 'calls'>;
}

/** `readOnlyPort`: plain HTTP, no credentials, and only what shows nothing of the inside of containers. */
export class ReadOnlyServer implements AsyncDisposable {
  readonly #deps: ReadOnlyServerDeps;
  readonly #stop = new AbortController();
  readonly #server = createServer((request, response) => void this.#answer(request, response));

  constructor(deps: ReadOnlyServerDeps) {
    this.#deps = deps;
  }

  /** Undefined while it does not listen. */
  get address(): AddressInfo | undefined {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address : undefined;
  }

  /** Rejects when the port cannot be had; may be tried again. */
  async listen(address: string, port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, address, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    if (this.#stop.signal.aborted) await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('the agent stops', 'AbortError'));
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    using link = linkSignal(this.#stop.signal);
    response.on('close', () => link.abort(new DOMException('the client went', 'AbortError')));
    response.on('error', () => {});
    const target = parseTarget(request.url ?? '');
    const method = request.method ?? '';
    try {
      const { name, params } = findRoute(method, target, false);
      if (!openToAll.has(name)) throw new HttpError(404, '404: Page Not Found');
      const call = { method, params, query: target.query, request };
      await this.#deps.handlers.calls[name as CallRouteName](call, response, link.signal);
    } catch (err) {
      const { failure, message, headers } = toHttpError(err);
      if (link.signal.aborted || response.headersSent) return void response.destroy();
      response.writeHead(failure.status, {
        'content-type': 'text/plain; charset=utf-8',
        'x-content-type-options': 'nosniff',
        connection: 'close',
        ...headers,
      });
      response.end(message);
    }
  }
}
