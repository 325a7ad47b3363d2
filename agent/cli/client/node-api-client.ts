import { request, type IncomingMessage } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import type { StatusBody } from '../../serving/node-api/index.js';
import { ClientError } from './client-error.js';

export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly query?: Query | undefined;
  readonly body?: string | Buffer | Readable | undefined;
}

const streamProtocol = 'berth-stream/1';

/** The node API from the outside; nothing but Node's own HTTP, so that a command is there at once. */
export class NodeApiClient {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async get<T>(path: string, query?: Query): Promise<T> {
    return await this.#json<T>({ method: 'GET', path, query });
  }

  async post<T>(path: string, query?: Query, body?: string | Buffer): Promise<T> {
    return await this.#json<T>({ method: 'POST', path, query, body });
  }

  async delete<T>(path: string, query?: Query): Promise<T> {
    return await this.#json<T>({ method: 'DELETE', path, query });
  }

  /** Bytes as they come; an error answer is thrown. */
  async stream(call: Call, signal: AbortSignal): Promise<IncomingMessage> {
    const answer = await this.#send(call, signal);
    if (answer.statusCode !== 200) throw await refusal(answer);
    return answer;
  }

  /** JSON lines as they come, until the agent ends them or the signal aborts. */
  async *lines<T>(call: Call, signal: AbortSignal): AsyncGenerator<T, void, undefined> {
    let held = '';
    try {
      const answer = await this.stream(call, signal);
      for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) {
        const parts = (held + chunk).split('\n');
        held = parts.pop() ?? '';
        for (const line of parts) if (line !== '') yield JSON.parse(line) as T;
      }
    } catch (err) {
      if (signal.aborted) return;
      if (err instanceof ClientError) throw err;
      throw new ClientError('read from the agent: it went away', { code: 'broken' }, { cause: err });
    }
  }

  /** Becomes a framed stream; what the agent refuses is thrown. */
  async upgrade(path: string, query: Query, signal: AbortSignal): Promise<{ socket: Duplex; head: Buffer }> {
    return await new Promise((resolve, reject) => {
      const sent = request({
        socketPath: this.#socketPath,
        method: 'POST',
        path: withQuery(path, query),
        headers: { connection: 'Upgrade', upgrade: streamProtocol },
        signal,
      });
      sent.on('upgrade', (_answer, socket, head) => resolve({ socket, head }));
      sent.on('response', (answer) => void refusal(answer).then(reject, reject));
      sent.on('error', (err) => reject(this.#failure(err)));
      sent.end();
    });
  }

  async #json<T>(call: Call): Promise<T> {
    const answer = await this.#send(call, undefined);
    if (answer.statusCode !== 200) throw await refusal(answer);
    return JSON.parse(await textOf(answer)) as T;
  }

  async #send({ method, path, query, body }: Call, signal: AbortSignal | undefined): Promise<IncomingMessage> {
    return await new Promise((resolve, reject) => {
      const sent = request(
        {
          socketPath: this.#socketPath,
          method,
          path: withQuery(path, query ?? {}),
          agent: false,
          ...(signal ? { signal } : {}),
        },
        resolve,
      );
      sent.on('error', (err) => reject(this.#failure(err)));
      if (body === undefined || typeof body === 'string' || Buffer.isBuffer(body)) sent.end(body);
      else {
        body.on('error', (err) => sent.destroy(err));
        body.pipe(sent);
      }
    });
  }

  #failure(err: Error): ClientError {
    const code = 'code' in err ? err.code : undefined;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') {
      return new ClientError(
        `no berth agent answers on ${this.#socketPath}; start one with: berth agent (or, with samples: berth demo)`,
        { code: 'no-agent' },
      );
    }
    if (code === 'EACCES')
      return new ClientError(`ask the agent on ${this.#socketPath}: only its owner may (try with sudo)`, {
        code: 'no-agent',
      });
    return new ClientError(`ask the agent on ${this.#socketPath}: ${err.message}`, { code: 'broken' }, { cause: err });
  }
}

function withQuery(path: string, query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === false) continue;
    for (const each of Array.isArray(value) ? (value as readonly string[]) : [String(value)])
      parameters.append(name, each);
  }
  const text = parameters.toString();
  return text === '' ? path : `${path}?${text}`;
}

async function textOf(answer: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) text += chunk;
  return text;
}

async function refusal(answer: IncomingMessage): Promise<ClientError> {
  const text = await textOf(answer);
  const status = answer.statusCode ?? 0;
  try {
    const body = JSON.parse(text) as StatusBody;
    const causes = body.details?.causes.map(({ message }) => `  ${message}`) ?? [];
    // An answer whose message is its only cause says it once.
    const told = causes.length > 0 && !causes.some((cause) => cause.trim() === body.message);
    return new ClientError(told ? [body.message, ...causes].join('\n') : body.message, {
      code: 'refused',
      status,
      reason: body.reason,
    });
  } catch {
    return new ClientError(`ask the agent: it answered ${status} ${text.slice(0, 200)}`, { code: 'broken' });
  }
}

/** A path with values in the place of `{}`. */
export function apiPath(pattern: string, ...values: readonly string[]): string {
  const rest = [...values];
  return pattern.replaceAll('{}', () => encodeURIComponent(rest.shift() ?? ''));
}
