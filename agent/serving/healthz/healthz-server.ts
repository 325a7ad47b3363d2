import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { errorText } from '../../../base/errors.js';
import type { Logger } from '../../../base/log.js';
import type { Clock } from '../../../base/clock.js';
import { renderMetrics, type MetricsStore } from '../metrics/index.js';

export interface HealthzOptions {
  readonly address: string;
  /** 0 for none. */
  readonly port: number;
}

export interface HealthzDeps {
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: MetricsStore;
}

const retryMs = 5000;

/**
 * `/healthz` says that the process answers, as the kubelet's port 10248 does; `/metrics` has the numbers. Both are harmless to read and
 * only on loopback by default. A port that is taken is tried again; it is no reason not to run pods.
 */
export class HealthzServer implements AsyncDisposable {
  readonly #options: HealthzOptions;
  readonly #deps: HealthzDeps;
  readonly #stop = new AbortController();
  readonly #server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?')[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
    } else if (path === '/healthz' || path === '/healthz/ping') {
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' }).end('ok');
    } else if (path === '/metrics') {
      renderMetrics(this.#deps.metrics.snapshots()).then(
        ({ contentType, text }) => response.writeHead(200, { 'content-type': contentType }).end(text),
        (err: unknown) => response.writeHead(500).end(errorText(err)),
      );
    } else {
      response.writeHead(404).end('not found\n');
    }
  });
  #running: Promise<void> = Promise.resolve();

  constructor(options: HealthzOptions, deps: HealthzDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  start(): void {
    if (this.#options.port !== 0) this.#running = this.#listen();
  }

  /** Undefined while it does not listen. */
  get address(): AddressInfo | undefined {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('the agent stops', 'AbortError'));
    await this.#running;
    this.#server.closeAllConnections();
    if (this.#server.listening) await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #listen(): Promise<void> {
    const { address, port } = this.#options;
    const { log, clock } = this.#deps;
    while (!this.#stop.signal.aborted) {
      try {
        await new Promise<void>((resolve, reject) => {
          this.#server.once('error', reject);
          this.#server.listen(port, address, () => {
            this.#server.off('error', reject);
            resolve();
          });
        });
        return;
      } catch (err) {
        log.warn({ address, port, err: errorText(err), retryInMs: retryMs }, 'healthz port cannot be listened on');
        await clock.sleep(retryMs, this.#stop.signal).catch(() => {});
      }
    }
  }
}
