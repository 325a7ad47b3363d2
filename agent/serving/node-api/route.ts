import type { IncomingMessage } from 'node:http';
import type { Writable } from 'node:stream';
import type { FrameConnection } from '../framed-stream/index.js';
import { ApiError } from './api-error.js';

/** One request as handlers see it. */
export interface ApiRequest {
  /** Values of the `{placeholders}` of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** For bodies that are streamed. */
  readonly raw: IncomingMessage;
}

export type Answer =
  | { readonly kind: 'value'; readonly value: unknown }
  /** Written as it comes, until it resolves or the client goes; the signal aborts then. */
  | {
      readonly kind: 'stream';
      readonly contentType: 'application/x-ndjson' | 'text/plain; charset=utf-8' | 'application/octet-stream';
      readonly write: (out: Writable, signal: AbortSignal) => Promise<void>;
    };

export type Method = 'GET' | 'POST' | 'DELETE';

/** A call that answers. */
export interface CallRoute {
  readonly method: Method;
  /** `/v1/pods/{namespace}/{name}` */
  readonly path: string;
  handle(request: ApiRequest, signal: AbortSignal): Promise<Answer> | Answer;
}

/** A call that becomes a framed stream in both directions. */
export interface StreamRoute {
  readonly method: 'POST';
  readonly path: string;
  /** Everything that can be refused is refused here, while an HTTP answer is still possible. */
  prepare(request: ApiRequest, signal: AbortSignal): Promise<StreamSession> | StreamSession;
}

/** Resolves when the stream has ended; what it throws is told to the client in the last frame. */
export type StreamSession = (
  connection: FrameConnection,
  head: Buffer,
  signal: AbortSignal,
) => Promise<{ readonly exitCode?: number }>;

export type Route = CallRoute | StreamRoute;

export const value = (content: unknown): Answer => ({ kind: 'value', value: content });

/** The value of a query parameter that must be a whole number; undefined when it is absent. */
export function wholeNumber(query: URLSearchParams, name: string, least = 0): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < least) {
    throw new ApiError(
      'BadRequest',
      `read query parameter ${name}: ${JSON.stringify(text)} is not a whole number of at least ${least}`,
    );
  }
  return number;
}

/** Present without a value, or `true` or `1`. */
export function flag(query: URLSearchParams, name: string): boolean {
  const text = query.get(name);
  return text === '' || text === 'true' || text === '1';
}

export function required(query: URLSearchParams, name: string): string {
  const text = query.get(name);
  if (!text) throw new ApiError('BadRequest', `read query parameter ${name}: it is missing`);
  return text;
}

/** The whole body, at most `limit` bytes. */
export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) throw new ApiError('RequestEntityTooLarge', `read the request: it has more than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
