import type { Writable } from 'node:stream';
import type { Answer } from './route.js';

/** What a subscriber hands lines to. */
export interface LineSink {
  line(content: unknown): void;
}

/** A client this far behind is cut off: it can begin again, and memory stays bounded. */
const mostBufferedBytes = 16 * 1024 * 1024;

/**
 * JSON lines until the client goes or `until` resolves. `subscribe` is called once the answer has begun and may write at once; its
 * subscription is disposed at the end.
 */
export function lineStream(
  subscribe: (sink: LineSink) => Disposable,
  until?: (signal: AbortSignal) => Promise<void>,
): Answer {
  return {
    kind: 'stream',
    contentType: 'application/x-ndjson',
    write: async (out: Writable, signal) => {
      const sink: LineSink = {
        line: (content) => {
          if (out.writableLength > mostBufferedBytes) out.destroy();
          else if (out.writable) out.write(`${JSON.stringify(content)}\n`);
        },
      };
      using _subscription = subscribe(sink);
      await (until ? until(signal) : aborted(signal));
    },
  };
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
