import { request } from 'node:https';
import type { Identity } from './test-authority.js';

export interface ApiAnswer {
  readonly status: number;
  // What tests look into is theirs to know.
  readonly body: Record<string, unknown>;
}

export interface ApiServer {
  readonly server: string;
  readonly caCert: string;
}

/** One request to an API server on a connection of its own. */
export function apiRequest(
  { server, caCert }: ApiServer,
  { cert, key }: Identity,
  method: string,
  path: string,
  body?: unknown,
): Promise<ApiAnswer> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const patch = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  return new Promise((resolve, reject) => {
    const asked = request(
      `${server}${path}`,
      {
        method,
        ca: caCert,
        cert,
        key,
        agent: false,
        headers: {
          accept: 'application/json',
          ...(text !== undefined && { 'content-type': patch, 'content-length': Buffer.byteLength(text) }),
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('error', reject);
        response.once('end', () => {
          const answer = Buffer.concat(chunks).toString();
          const isJson = response.headers['content-type']?.includes('json') === true;
          const parsed: unknown = isJson && !path.includes('watch=1') ? JSON.parse(answer) : { text: answer };
          resolve({ status: response.statusCode ?? 0, body: parsed as Record<string, unknown> });
        });
      },
    );
    asked.once('error', reject);
    asked.end(text);
  });
}
