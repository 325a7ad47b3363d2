import { errorText } from '../../../../base/errors.js';
import type { ObjectMeta } from '../../../api/index.js';
import type { ApiClient } from './api-client.js';
import { ApiError } from './api-error.js';

export interface WatchedObject {
  readonly apiVersion?: string | undefined;
  readonly kind?: string | undefined;
  readonly metadata?: ObjectMeta | undefined;
}

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: WatchedObject }
  | { readonly type: 'BOOKMARK'; readonly object: WatchedObject };

export interface WatchRequest {
  readonly path: string;
  readonly fieldSelector?: string | undefined;
  readonly resourceVersion: string;
  readonly timeoutSeconds: number;
}

/** Longer than any object that etcd takes. */
const maxLineBytes = 16 * 1024 * 1024;

/**
 * The events of one watch request in order. Ends when the server ends it; throws an `ApiError` for an error event, for what is
 * no event, and when it is cut in the middle of one.
 */
export async function* watchStream(
  client: ApiClient,
  { path, fieldSelector, resourceVersion, timeoutSeconds }: WatchRequest,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent[], void> {
  const query = { watch: 1, allowWatchBookmarks: true, resourceVersion, timeoutSeconds, fieldSelector };
  const { body } = await client.open({ method: 'GET', path, query }, signal);
  try {
    const lines = new LineBuffer(path);
    for await (const chunk of body as AsyncIterable<Buffer>) {
      const events = lines.add(chunk).map((line) => parseEvent(path, line));
      if (events.length > 0) yield events;
    }
    signal.throwIfAborted();
    // What does not even begin like an event is no part of one.
    if (lines.pending !== '' && !lines.pending.startsWith('{')) parseEvent(path, lines.pending);
    if (lines.pending !== '')
      throw new ApiError(`watch ${path}: it was cut in the middle of an event`, { code: 'unreachable' });
  } catch (err) {
    signal.throwIfAborted();
    if (err instanceof ApiError) throw err;
    throw new ApiError(`watch ${path}: ${errorText(err)}`, { code: 'unreachable' }, { cause: err });
  } finally {
    body.destroy();
  }
}

class LineBuffer {
  readonly #path: string;
  #parts: Buffer[] = [];
  #size = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** What is no whole line yet. */
  get pending(): string {
    return Buffer.concat(this.#parts).toString('utf8').trimStart();
  }

  /** The lines that are complete with this chunk. Characters may be cut between chunks: only whole lines become text. */
  add(chunk: Buffer): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      const line = Buffer.concat([...this.#parts, chunk.subarray(from, at)]).toString('utf8');
      this.#parts = [];
      this.#size = 0;
      from = at + 1;
      if (line.trim() !== '') lines.push(line);
    }
    const rest = chunk.subarray(from);
    if (rest.length > 0) {
      this.#parts.push(rest);
      this.#size += rest.length;
    }
    if (this.#size > maxLineBytes)
      throw new ApiError(`watch ${this.#path}: an event is longer than ${maxLineBytes} bytes`, { code: 'garbage' });
    return lines;
  }
}

export function parseEvent(path: string, line: string): WatchEvent {
  const garbage = (): ApiError =>
    new ApiError(`watch ${path}: not a watch event: ${line.slice(0, 200)}`, { code: 'garbage' });
  let event: { type?: unknown; object?: unknown };
  try {
    event = JSON.parse(line) as typeof event;
  } catch {
    throw garbage();
  }
  const { type, object } = event ?? {};
  if (typeof object !== 'object' || object === null) throw garbage();
  if (type === 'ERROR') {
    const { code, reason, message } = object as { code?: number; reason?: string; message?: string };
    throw new ApiError(`watch ${path}: ${code ?? 0} ${message ?? reason ?? 'an error'}`, {
      code: 'status',
      status: code ?? 500,
      reason: reason ?? '',
    });
  }
  const { metadata } = object as WatchedObject;
  if (typeof metadata?.resourceVersion !== 'string') throw garbage();
  if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED' || type === 'BOOKMARK') return { type, object };
  throw garbage();
}
