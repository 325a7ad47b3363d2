import type { Readable } from 'node:stream';
import { ApiError } from './api-error.js';

/** The whole of a body as text, at most `limit` bytes of it. */
export async function readText(body: Readable, limit: number, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) {
      body.destroy();
      throw new ApiError(`read an answer: it is longer than ${limit} bytes`, { code: 'garbage' });
    }
    chunks.push(chunk);
  }
  // A stream that was cancelled ends like one that is complete.
  signal.throwIfAborted();
  return Buffer.concat(chunks).toString('utf8');
}
