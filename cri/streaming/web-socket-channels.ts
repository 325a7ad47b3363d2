import type { IncomingMessage } from 'node:http';
import { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { StreamingError } from './streaming-error.js';

/** How the channel protocols differ. Each message starts with its channel: a byte, or a digit before base64. */
export interface ChannelProtocol {
  readonly name: string;
  readonly base64: boolean;
  /** v5: a message 255, CHANNEL closes that channel. */
  readonly closeSignal: boolean;
}

const closeChannel = 255;
const maxMessageBytes = 16 * 1024 * 1024;

/** Completes the WebSocket handshake with the first offered protocol that is known here. */
export async function acceptWebSocket<P extends { readonly name: string }>(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocols: readonly P[],
  fallback: P,
): Promise<{ webSocket: WebSocket; protocol: P }> {
  const offered = (request.headers['sec-websocket-protocol'] ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const protocol =
    offered.length === 0
      ? fallback
      : offered.map((name) => protocols.find((known) => known.name === name)).find((known) => known !== undefined);
  if (protocol === undefined) {
    socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    throw new StreamingError(`accept a WebSocket: the client only knows ${offered.join(', ')}`, { code: 'protocol' });
  }
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
    handleProtocols: () => (offered.length === 0 ? false : protocol.name),
  });
  return await new Promise((resolve, reject) => {
    socket.once('close', () =>
      reject(new StreamingError('accept a WebSocket: the client went away', { code: 'closed' })),
    );
    server.handleUpgrade(withPlainProtocol(request, protocol.name), socket, head, (webSocket) =>
      resolve({ webSocket, protocol }),
    );
  });
}

/** `ws` refuses names with a slash (`SPDY/3.1+portforward.k8s.io`); the choice is made by now, so it need not see them. */
function withPlainProtocol(request: IncomingMessage, name: string): IncomingMessage {
  if (!name.includes('/')) return request;
  const headers = { ...request.headers, 'sec-websocket-protocol': 'chosen-already' };
  return Object.create(request, { headers: { value: headers } }) as IncomingMessage;
}

/** The numbered channels of one WebSocket, as streams. */
export class WebSocketChannels {
  readonly #webSocket: WebSocket;
  readonly #protocol: ChannelProtocol;
  readonly #announcesEnd: boolean;
  readonly #channels = new Map<number, ChannelStream>();
  readonly #closed = new AbortController();

  /** Only a client closes single channels (`announcesEnd`); a server closes the connection. */
  constructor(webSocket: WebSocket, protocol: ChannelProtocol, announcesEnd: boolean) {
    this.#webSocket = webSocket;
    this.#protocol = protocol;
    this.#announcesEnd = announcesEnd && protocol.closeSignal;
    webSocket.on('message', (data: Buffer) => this.#receive(data));
    webSocket.on('error', (err) => this.#end(err));
    webSocket.on('close', () =>
      this.#end(new StreamingError('read WebSocket: the other end closed it', { code: 'closed' })),
    );
  }

  /** Aborts when the connection is over. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** A channel to read from, write to, or both; messages of channels that were not opened are dropped. */
  open(channel: number): Duplex {
    const stream = new ChannelStream({
      send: (data, done) => this.#send(channel, data, done),
      sendEnd: (done) => {
        if (this.#announcesEnd) this.#send(closeChannel, Buffer.from([channel]), done);
        else done();
      },
      pause: () => this.#webSocket.pause(),
      resume: () => this.#webSocket.resume(),
    });
    this.#channels.set(channel, stream);
    return stream;
  }

  close(): void {
    if (this.#webSocket.readyState === WebSocket.OPEN) this.#webSocket.close(1000);
    // A client that does not answer the close frame is cut off by ws after 30 s; reading must go on until then.
    this.#webSocket.resume();
  }

  #receive(data: Buffer): void {
    const channel = this.#protocol.base64 ? (data[0] ?? 0) - 48 : (data[0] ?? 0);
    const payload = this.#protocol.base64 ? Buffer.from(data.toString('latin1', 1), 'base64') : data.subarray(1);
    if (channel === closeChannel && this.#protocol.closeSignal) this.#channels.get(payload[0] ?? -1)?.receiveEnd();
    else if (payload.length > 0) this.#channels.get(channel)?.receive(payload);
  }

  #send(channel: number, data: Buffer, done: () => void): void {
    if (this.#webSocket.readyState !== WebSocket.OPEN) return done();
    const message = this.#protocol.base64
      ? String.fromCharCode(48 + channel) + data.toString('base64')
      : Buffer.concat([Buffer.from([channel]), data]);
    this.#webSocket.send(message, () => done());
  }

  #end(reason: Error): void {
    if (this.#closed.signal.aborted) return;
    for (const channel of this.#channels.values()) channel.receiveEnd();
    this.#closed.abort(reason);
    this.#webSocket.terminate();
  }
}

interface ChannelLink {
  send(data: Buffer, done: () => void): void;
  sendEnd(done: () => void): void;
  pause(): void;
  resume(): void;
}

const maxUnread = 256 * 1024;

class ChannelStream extends Duplex {
  readonly #link: ChannelLink;
  #ended = false;
  #paused = false;

  constructor(link: ChannelLink) {
    super({ allowHalfOpen: true, readableHighWaterMark: 64 * 1024 });
    this.#link = link;
    this.on('error', () => {});
  }

  receive(data: Buffer): void {
    if (this.#ended || this.destroyed) return;
    this.push(data);
    if (this.readableLength <= maxUnread || this.#paused) return;
    this.#paused = true;
    this.#link.pause();
  }

  receiveEnd(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.push(null);
  }

  override _read(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#link.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (err?: Error | null) => void): void {
    this.#link.send(chunk, done);
  }

  override _final(done: (err?: Error | null) => void): void {
    this.#link.sendEnd(done);
  }
}
