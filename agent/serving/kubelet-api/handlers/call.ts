import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { CallRouteName, StreamRouteName } from '../route-table.js';

/** One request, authenticated, authorized and routed. */
export interface ApiCall {
  readonly method: string;
  /** Values of the placeholders of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
}

/** Answers a call. What it throws before it writes becomes an HTTP error; the signal aborts when the client goes. */
export type CallHandler = (call: ApiCall, response: ServerResponse, signal: AbortSignal) => Promise<void> | void;

/** Takes over the connection; the signal aborts when the agent stops. */
export type StreamSession = (socket: Duplex, head: Buffer, signal: AbortSignal) => Promise<void>;

/** Refuses while an HTTP answer is still possible, or says how the connection is served. */
export type StreamHandler = (call: ApiCall) => StreamSession;

export type CallHandlers = { readonly [K in CallRouteName]: CallHandler };
export type StreamHandlers = { readonly [K in StreamRouteName]: StreamHandler };

export function sendText(
  response: ServerResponse,
  text: string | Uint8Array,
  contentType = 'text/plain; charset=utf-8',
): void {
  response.writeHead(200, { 'content-type': contentType, 'x-content-type-options': 'nosniff' });
  response.end(text);
}

export function sendJson(response: ServerResponse, value: unknown): void {
  sendText(response, JSON.stringify(value), 'application/json');
}
