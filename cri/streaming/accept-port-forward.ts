import type { IncomingMessage } from 'node:http';
import type { Duplex, Writable } from 'node:stream';
import { createWebSocketStream } from 'ws';
import { errorText } from '../../base/errors.js';
import { isWebSocketRequest, switchToSpdy } from './http-upgrade.js';
import { SpdySession, type SpdyStream } from './spdy/index.js';
import { StreamingError } from './streaming-error.js';
import { WebSocketChannels, acceptWebSocket, type ChannelProtocol } from './web-socket-channels.js';

/**
 * Carries one connection to one port of the pod until either side closed. What it throws is told to the client. The signal aborts
 * when the client is gone.
 */
export type ForwardConnection = (port: number, connection: Duplex, signal: AbortSignal) => Promise<void>;

const protocol = 'portforward.k8s.io';
const tunnel = { name: 'SPDY/3.1+portforward.k8s.io', tunnel: true, base64: false, closeSignal: false };
const channelProtocols: ReadonlyArray<ChannelProtocol & { readonly tunnel: boolean }> = [
  tunnel,
  { name: 'v4.channel.k8s.io', tunnel: false, base64: false, closeSignal: false },
  { name: 'v4.base64.channel.k8s.io', tunnel: false, base64: true, closeSignal: false },
];
const binaryChannels = channelProtocols[1] as (typeof channelProtocols)[number];
const pairingMs = 30_000;

/**
 * Takes over an HTTP/1.1 connection whose client asked to forward ports, and serves it until it is over. `ports` is for the plain
 * WebSocket protocols, which name them up front; SPDY clients name the port of each connection.
 */
export async function acceptPortForward(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  ports: readonly number[],
  forward: ForwardConnection,
): Promise<void> {
  if (!isWebSocketRequest(request)) {
    switchToSpdy(request, socket, [protocol], protocol);
    return await serveSpdy(socket, head, forward);
  }
  const accepted = await acceptWebSocket(request, socket, head, channelProtocols, binaryChannels);
  if (accepted.protocol.tunnel) {
    return await serveSpdy(createWebSocketStream(accepted.webSocket), Buffer.alloc(0), forward);
  }
  await serveChannels(new WebSocketChannels(accepted.webSocket, accepted.protocol, false), ports, forward);
}

/** Channels 2n (data) and 2n+1 (error) for the n-th port; each begins with the port in two bytes, little endian. */
async function serveChannels(
  channels: WebSocketChannels,
  ports: readonly number[],
  forward: ForwardConnection,
): Promise<void> {
  const pairs = ports.map((port, index) => {
    const pair = { port, data: channels.open(index * 2), error: channels.open(index * 2 + 1) };
    const preamble = Buffer.alloc(2);
    preamble.writeUInt16LE(port);
    pair.data.write(preamble);
    pair.error.write(preamble);
    return pair;
  });
  await Promise.all(pairs.map(async ({ port, data, error }) => carry(port, data, error, forward, channels.closed)));
  channels.close();
}

interface Pair {
  data?: SpdyStream;
  error?: SpdyStream;
  timer: NodeJS.Timeout;
}

/** Each connection is two streams, `streamtype` data and error, with the same `requestid`. */
async function serveSpdy(socket: Duplex, head: Buffer, forward: ForwardConnection): Promise<void> {
  const pairs = new Map<string, Pair>();
  const session: SpdySession = new SpdySession(socket, {
    role: 'server',
    head,
    onStream: (stream) => {
      const port = readPort(stream.headers['port']);
      const type = stream.headers['streamtype'];
      if (type !== 'data' && type !== 'error') throw refused(`stream type "${type ?? ''}"`);
      const id = requestId(stream, type);
      const pair = pairs.get(id) ?? { timer: setTimeout(() => expire(pairs, id), pairingMs) };
      if (pair[type] !== undefined) throw refused(`a second ${type} stream for request ${id}`);
      pairs.set(id, pair);
      pair[type] = stream;
      if (pair.data === undefined || pair.error === undefined) return;
      pairs.delete(id);
      clearTimeout(pair.timer);
      pair.error.resume();
      void carry(port, pair.data, pair.error, forward, session.closed);
    },
  });
  await new Promise<void>((resolve) => {
    if (session.closed.aborted) resolve();
    else session.closed.addEventListener('abort', () => resolve(), { once: true });
  });
  for (const { timer } of pairs.values()) clearTimeout(timer);
}

function refused(what: string): StreamingError {
  return new StreamingError(`accept a forwarded connection: ${what}`, { code: 'protocol' });
}

function readPort(text: string | undefined): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw refused(`port "${text ?? ''}"`);
  return port;
}

/** Old clients send no request id; they open the error stream right before the data stream. */
function requestId(stream: SpdyStream, type: 'data' | 'error'): string {
  return stream.headers['requestid'] ?? `stream-${type === 'error' ? stream.id : stream.id - 2}`;
}

function expire(pairs: Map<string, Pair>, id: string): void {
  const pair = pairs.get(id);
  pairs.delete(id);
  pair?.error?.end('timed out waiting for the data stream');
  pair?.data?.destroy();
}

/** Runs one connection; never rejects. */
async function carry(
  port: number,
  data: Duplex,
  error: Writable & { destroy(): void },
  forward: ForwardConnection,
  gone: AbortSignal,
): Promise<void> {
  try {
    await forward(port, data, gone);
    error.end();
    data.end();
  } catch (err) {
    error.write(`error forwarding port ${port}: ${errorText(err)}`, () => {
      error.end();
      data.destroy();
    });
  }
}
