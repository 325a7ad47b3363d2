import { connect } from 'node:net';
import { errnoOf } from '../../base/errors.js';
import { notAsked } from './wire-error.js';

/** What the kernel lets a unix socket address hold, less the closing zero. */
export const longestSocketPath = 107;

/** Throws `WireError` when no socket address can hold the path. */
export function checkSocketPath(socketPath: string): void {
  if (Buffer.byteLength(socketPath) <= longestSocketPath) return;
  const words = `is longer than the ${longestSocketPath} bytes a unix socket address can hold`;
  throw notAsked(`${socketPath} ${words}`, 'invalid-argument');
}

/** Whether anybody listens: gRPC itself would only say that it could not connect before the deadline. */
export async function probeSocket(socketPath: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  checkSocketPath(socketPath);
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ path: socketPath });
    const done = (err?: Error): void => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      if (err === undefined) resolve();
      else reject(err);
    };
    const onAbort = (): void => done(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', () => done());
    socket.once('error', (err) => {
      const errno = errnoOf(err);
      const words =
        errno === 'ECONNREFUSED'
          ? `nobody listens on ${socketPath}`
          : `${socketPath} cannot be opened (${errno ?? err.message})`;
      // The words say all that the error does, and a person would read them twice.
      done(notAsked(words, 'unavailable'));
    });
  });
}
