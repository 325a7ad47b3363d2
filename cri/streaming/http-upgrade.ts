import { STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { StreamingError } from './streaming-error.js';

/** Answers a request for an upgrade with an ordinary HTTP response and closes the connection. */
export function refuseUpgrade(
  socket: Duplex,
  status: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = `${message}\n`;
  const lines = Object.entries({
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(body)),
    Connection: 'close',
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.on('error', () => {});
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n${body}`);
}

export function isWebSocketRequest(request: IncomingMessage): boolean {
  return request.headers.upgrade?.toLowerCase() === 'websocket';
}

/** The protocols a SPDY client offers, in its order of preference. */
export function offeredProtocols(request: IncomingMessage): string[] {
  const values: string[] = [];
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    if (request.rawHeaders[i]?.toLowerCase() === 'x-stream-protocol-version') {
      values.push(...(request.rawHeaders[i + 1] ?? '').split(',').map((name) => name.trim()));
    }
  }
  return values.filter((value) => value !== '');
}

/**
 * Chooses a protocol and switches the connection to SPDY/3.1. A client that offers none gets `fallback`; one that offers only
 * unknown ones is refused with 403, as Kubernetes' servers do.
 */
export function switchToSpdy(
  request: IncomingMessage,
  socket: Duplex,
  supported: readonly string[],
  fallback: string,
): string {
  if (request.headers.upgrade?.toLowerCase() !== 'spdy/3.1') {
    refuseUpgrade(socket, 400, 'unable to upgrade: missing upgrade headers in request (want SPDY/3.1 or websocket)');
    throw new StreamingError('accept a stream: the client asked for no protocol known here', { code: 'protocol' });
  }
  const offered = offeredProtocols(request);
  const chosen = offered.length === 0 ? fallback : offered.find((name) => supported.includes(name));
  if (chosen === undefined) {
    const headers = { 'X-Accepted-Stream-Protocol-Versions': supported.join(', ') };
    refuseUpgrade(
      socket,
      403,
      `unable to upgrade: unable to negotiate protocol: client supports [${offered.join(' ')}]`,
      headers,
    );
    throw new StreamingError(`accept a stream: the client only knows ${offered.join(', ')}`, { code: 'protocol' });
  }
  const version = offered.length === 0 ? '' : `X-Stream-Protocol-Version: ${chosen}\r\n`;
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n${version}\r\n`);
  return chosen;
}
