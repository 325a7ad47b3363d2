import type { Readable } from 'node:stream';
import type { Credentials } from './credentials.js';

export interface HttpRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body?: string | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Must be read to its end or destroyed. */
  readonly body: Readable;
}

/**
 * Carries requests over as few connections as it can. The signal ends the request and the body that is still being read; it must
 * outlive both.
 */
export interface Transport extends AsyncDisposable {
  send(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer>;
  /** Breaks all connections: whoever waits for an answer gets `unreachable` and asks again on a new one. */
  reset(reason: string): void;
}

export type OpenTransport = (server: URL, credentials: Credentials, proxyUrl: string | undefined) => Transport;
