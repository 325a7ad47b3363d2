import { connect } from 'node:net';
import { errnoOf } from '../../../base/errors.js';
import { onAbort } from '../../../base/signals.js';

const usualPort = 2049;

/** The port that mount options name. */
export function nfsPort(options: readonly string[]): number {
  const given = options.flatMap((option) => option.split(',')).findLast((option) => option.startsWith('port='));
  const port = Number(given?.slice('port='.length));
  return Number.isInteger(port) && port > 0 ? port : usualPort;
}

/** What can be known of a server that a mount waits for, in words. */
export async function lookAtServer(
  server: string,
  port: number,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string> {
  signal.throwIfAborted();
  const at = `port ${port} of ${server}`;
  return await new Promise((resolve, reject) => {
    const socket = connect({ host: server, port });
    const settle = (how: () => void): void => {
      clearTimeout(timer);
      unlink();
      socket.destroy();
      how();
    };
    const timer = setTimeout(() => settle(() => resolve(`${at} does not answer`)), timeoutMs);
    const unlink = onAbort(signal, () => settle(() => reject(signal.reason as Error)));
    socket.once('connect', () => settle(() => resolve(`${at} takes connections`)));
    socket.once('error', (err) =>
      settle(() => {
        const errno = errnoOf(err);
        if (errno === 'ECONNREFUSED') resolve(`nobody listens on ${at}`);
        else resolve(`${at} cannot be reached (${errno ?? err.message})`);
      }),
    );
  });
}
