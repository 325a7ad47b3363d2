import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';

export interface HttpGetRequest {
  readonly scheme: 'HTTP' | 'HTTPS';
  readonly host: string;
  readonly port: number;
  /** Path with its query. */
  readonly path: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly userAgent: string;
}

export interface HttpGetAnswer {
  readonly statusCode: number;
  /** At most 10 KiB. */
  readonly body: string;
  /** Host a redirect points to, when it is another one. */
  readonly redirectedTo: string | undefined;
}

export type HttpGet = (request: HttpGetRequest, signal: AbortSignal) => Promise<HttpGetAnswer>;

const most = { bodyBytes: 10 * 1024, redirects: 10, headBytes: 1024 * 1024 };

/**
 * What a kubelet's client takes is taken: lines that end without a carriage return, as a shell script behind a port writes them, and long
 * heads. The answer goes no further than its status, so that nothing can be smuggled in it.
 */
const leniently = { insecureHTTPParser: true, maxHeaderSize: most.headBytes } as const;

/**
 * One GET as probes and hooks make it (facts 3): no proxy, no keep-alive, no compression, certificates not verified, redirects followed
 * on the same host only.
 */
export const httpGet: HttpGet = async (request, signal) => {
  let target = new URL(
    `${request.scheme.toLowerCase()}://${bracketed(request.host)}:${request.port}${request.path.startsWith('/') ? '' : '/'}${request.path}`,
  );
  for (let redirects = 0; ; redirects++) {
    const { answer, location } = await once(target, request, signal);
    if (location === undefined || answer.statusCode < 300 || answer.statusCode >= 400) return answer;
    const next = new URL(location, target);
    if (next.hostname !== target.hostname) return { ...answer, redirectedTo: next.host };
    if (redirects >= most.redirects) throw new Error(`GET ${target.href}: stopped after ${most.redirects} redirects`);
    target = next;
  }
};

function once(
  target: URL,
  request: HttpGetRequest,
  signal: AbortSignal,
): Promise<{ answer: HttpGetAnswer; location: string | undefined }> {
  const headers = headersOf(request);
  const options = { method: 'GET', headers, signal, agent: false as const, ...leniently };
  return new Promise((resolve, reject) => {
    const onAnswer = (message: IncomingMessage): void => {
      const chunks: Buffer[] = [];
      let size = 0;
      const finish = (): void =>
        resolve({
          answer: {
            statusCode: message.statusCode ?? 0,
            body: Buffer.concat(chunks).toString('utf8').slice(0, most.bodyBytes),
            redirectedTo: undefined,
          },
          location: message.headers.location,
        });
      message.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size < most.bodyBytes) return;
        finish();
        message.destroy();
      });
      message.on('end', finish);
      message.on('error', reject);
    };
    const outgoing =
      target.protocol === 'https:'
        ? httpsRequest(target, { ...options, rejectUnauthorized: false }, onAnswer)
        : httpRequest(target, options, onAnswer);
    outgoing.on('error', reject);
    outgoing.end();
  });
}

/** Own headers take the place of the usual ones, an empty one none; those given more than once are sent as often. */
function headersOf({ headers: own, userAgent }: HttpGetRequest): Record<string, string | string[]> {
  const usual: Record<string, string> = { 'user-agent': userAgent, accept: '*/*' };
  const headers: Record<string, string | string[]> = { ...usual };
  const given = new Set<string>();
  for (const { name, value } of own) {
    const key = name.toLowerCase();
    if (value === '' && key in usual) delete headers[key];
    else if (!given.has(key)) headers[key] = value;
    // There is one host, and the first counts.
    else if (key !== 'host') headers[key] = [headers[key] ?? [], value].flat();
    given.add(key);
  }
  return headers;
}

const bracketed = (host: string): string => (host.includes(':') && !host.startsWith('[') ? `[${host}]` : host);
