import { request, type RequestOptions } from 'node:https';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly text: string;
  /** True when the server switched protocols. */
  readonly upgraded: boolean;
}

export interface Credentials {
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly authorization?: string | undefined;
}

export interface Ask extends Credentials {
  readonly port: number;
  readonly method?: string | undefined;
  /** Sent as it is: what a URL parser would repair reaches the server unrepaired. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly options?: RequestOptions | undefined;
}

export const spdyUpgrade = {
  connection: 'Upgrade',
  upgrade: 'SPDY/3.1',
  'x-stream-protocol-version': 'v4.channel.k8s.io',
} as const;

export const webSocketUpgrade = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-version': '13',
  'sec-websocket-protocol': 'v5.channel.k8s.io',
} as const;

/** One HTTPS request on a connection of its own; an upgrade that is granted is cut off at once. */
export function ask({ port, method = 'GET', path, cert, key, authorization, headers, options }: Ask): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port,
        method,
        path,
        rejectUnauthorized: false,
        agent: false,
        cert,
        key,
        headers: { ...headers, ...(authorization !== undefined && { authorization }) },
        ...options,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('error', reject);
        response.once('end', () => {
          const text = Buffer.concat(chunks).toString();
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, upgraded: false });
        });
      },
    );
    sent.once('upgrade', (response, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode ?? 0, headers: response.headers, text: '', upgraded: true });
    });
    sent.once('error', reject);
    sent.end();
  });
}
