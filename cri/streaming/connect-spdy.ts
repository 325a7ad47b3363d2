import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { SpdySession } from './spdy/index.js';
import { StreamingError } from './streaming-error.js';

const maxRefusalBytes = 8192;

/** Asks a streaming server for SPDY/3.1; the signal covers the handshake only. */
export async function connectSpdy(url: URL, protocol: string, signal: AbortSignal): Promise<SpdySession> {
  const { socket, head } = await upgrade(url, protocol, signal);
  return new SpdySession(socket, { role: 'client', head });
}

async function upgrade(url: URL, protocol: string, signal: AbortSignal): Promise<{ socket: Duplex; head: Buffer }> {
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return await new Promise((resolve, reject) => {
    const request = send(url, {
      method: 'POST',
      agent: false,
      signal,
      headers: {
        Connection: 'Upgrade',
        Upgrade: 'SPDY/3.1',
        'X-Stream-Protocol-Version': protocol,
        'Content-Length': '0',
      },
    });
    request.on('upgrade', (_response, socket, head) => resolve({ socket, head }));
    request.on('response', (response) => {
      void refusal(response).then(reject, reject);
    });
    request.on('error', (err) => {
      if (signal.aborted) reject(signal.reason as Error);
      else reject(new StreamingError(`connect to ${url.host}: ${err.message}`, { code: 'closed' }, { cause: err }));
    });
    request.end();
  });
}

async function refusal(response: IncomingMessage): Promise<StreamingError> {
  let body = '';
  for await (const chunk of response) {
    if (body.length < maxRefusalBytes) body += (chunk as Buffer).toString('utf8');
  }
  const status = response.statusCode ?? 0;
  const reason = body.trim() || (response.statusMessage ?? '');
  return new StreamingError(`open a stream: the server answered ${status}: ${reason}`, { code: 'refused', status });
}
