import type { Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { connectSpdy } from './connect-spdy.js';
import { StreamingError } from './streaming-error.js';

const protocol = 'portforward.k8s.io';
/** How long a server may take to say whether there was an error, once it has closed the way back. */
const mostComplaintMs = 5000;

/**
 * The client's side of port-forward over SPDY/3.1: carries `connection` to a port of the pod until either side closed. Fails with
 * the server's words when nothing listens there. An abort closes the connection and rejects with the reason.
 */
export async function connectPortForward(
  url: URL,
  port: number,
  connection: Duplex,
  signal: AbortSignal,
): Promise<void> {
  const session = await connectSpdy(url, protocol, signal);
  const onAbort = (): void => session.destroy(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const headers = { port: String(port), requestid: '0' };
    const error = await session.open({ ...headers, streamtype: 'error' });
    error.end();
    const complaint = readAll(error);
    const data = await session.open({ ...headers, streamtype: 'data' });
    // The pod may answer after its client has said all it will say, so only the way back decides when it is over.
    pipeline(connection, data, { signal: session.closed }).catch(() => data.destroy());
    const closed = new Promise<void>((resolve) => connection.once('close', () => resolve()));
    const ended = await Promise.race([
      closed.then(() => false),
      pipeline(data, connection).then(
        () => true,
        () => false,
      ),
    ]);
    // A server that could not connect ends the way back first and says why after it; one that did ends both.
    if (ended)
      await Promise.race([
        complaint,
        delay(mostComplaintMs, undefined, { signal: session.closed, ref: false }).catch(() => {}),
      ]);
    session.close();
    signal.throwIfAborted();
    const text = await complaint;
    if (text !== '') throw new StreamingError(`forward port ${port}: ${text}`, { code: 'failed', reason: text });
  } finally {
    signal.removeEventListener('abort', onAbort);
    session.close();
  }
}

async function readAll(stream: Readable): Promise<string> {
  let text = '';
  try {
    for await (const chunk of stream) text += (chunk as Buffer).toString('utf8');
  } catch {
    // The connection is gone: what it said until then is all.
  }
  return text;
}
