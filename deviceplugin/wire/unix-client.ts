import { connect } from 'node:net';
import type { Client } from '@grpc/grpc-js';
import { errnoOf } from '../../base/errors.js';
import type { ProtoName } from '../../proto/load.js';
import { WireError, wireError } from './wire-error.js';

/** The shape of the `...Methods` interfaces in `proto/generated`. */
export type WireMethods<M> = { readonly [K in keyof M]: { request: object; response: object; kind: string } };

export interface UnixClientOptions {
  readonly socketPath: string;
  readonly proto: ProtoName;
  /** The full name: `v1beta1.DevicePlugin`. */
  readonly service: string;
}

/** What the kernel lets a unix socket address hold, less the closing zero. */
export const longestSocketPath = 107;

interface StreamCall {
  on(event: 'data', listener: (message: object) => void): void;
  on(event: 'error', listener: (err: Error) => void): void;
  on(event: 'end', listener: () => void): void;
  cancel(): void;
}

type UnaryMethod = (
  request: object,
  options: { deadline: number },
  reply: (err: Error | null, response: unknown) => void,
) => { cancel(): void };
type StreamMethod = (request: object) => StreamCall;

/** A gRPC client on a unix socket; the gRPC library is loaded with the first use. */
export class UnixClient<M extends WireMethods<M>> implements Disposable {
  readonly #options: UnixClientOptions;
  #client: Promise<Client> | undefined;
  #closed = false;

  constructor(options: UnixClientOptions) {
    this.#options = options;
  }

  /** Resolves when a gRPC server answers; a socket nobody listens on is reported at once. */
  async connect(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const { socketPath } = this.#options;
    await probeSocket(socketPath, signal);
    const client = await this.#open();
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason as Error);
      signal.throwIfAborted();
      signal.addEventListener('abort', onAbort, { once: true });
      client.waitForReady(Date.now() + timeoutMs, (err) => {
        signal.removeEventListener('abort', onAbort);
        if (err === undefined || err === null) return resolve();
        reject(new WireError(`no gRPC server on ${socketPath} within ${timeoutMs} ms`, { code: 'timed-out' }));
      });
    });
  }

  /** Rejects with `WireError`, or with the signal's reason. */
  async call<K extends keyof M & string>(
    method: K,
    request: M[K]['request'],
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<M[K]['response']> {
    const client = await this.#open();
    const unary = (client as unknown as Record<string, UnaryMethod>)[method];
    if (unary === undefined) throw new Error(`call ${method}: ${this.#options.service} has no such method`);
    return await new Promise<M[K]['response']>((resolve, reject) => {
      signal.throwIfAborted();
      const call = unary.call(client, request, { deadline: Date.now() + timeoutMs }, (err, response) => {
        signal.removeEventListener('abort', onAbort);
        if (signal.aborted) return reject(signal.reason as Error);
        if (err) return reject(wireError(err));
        resolve(response as M[K]['response']);
      });
      const onAbort = (): void => call.cancel();
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Resolves when the server ends the stream; rejects with `WireError`, or with the signal's reason. */
  async stream<K extends keyof M & string>(
    method: K,
    request: M[K]['request'],
    onMessage: (message: M[K]['response']) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const client = await this.#open();
    const open = (client as unknown as Record<string, StreamMethod>)[method];
    if (open === undefined) throw new Error(`call ${method}: ${this.#options.service} has no such method`);
    await new Promise<void>((resolve, reject) => {
      signal.throwIfAborted();
      const call = open.call(client, request);
      const onAbort = (): void => {
        call.cancel();
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      call.on('data', (message) => {
        if (!signal.aborted) onMessage(message);
      });
      call.on('error', (err) => {
        signal.removeEventListener('abort', onAbort);
        reject(signal.aborted ? (signal.reason as Error) : wireError(err));
      });
      call.on('end', () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      });
    });
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    void this.#client?.then(
      (client) => client.close(),
      () => {},
    );
    this.#client = undefined;
  }

  #open(): Promise<Client> {
    if (this.#closed) throw new WireError('the connection was closed', { code: 'unreachable' });
    this.#client ??= this.#load();
    return this.#client;
  }

  async #load(): Promise<Client> {
    const { socketPath, proto, service } = this.#options;
    const [{ credentials }, { loadService }] = await Promise.all([
      import('@grpc/grpc-js'),
      import('../../proto/load.js'),
    ]);
    const Service = loadService(proto, service);
    return new Service(`unix:${socketPath}`, credentials.createInsecure(), {
      'grpc.default_authority': 'localhost',
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1000,
      'grpc.max_receive_message_length': 16 * 1024 * 1024,
    });
  }
}

/** Whether anybody listens: gRPC itself would only say that it could not connect before the deadline. */
export async function probeSocket(socketPath: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (Buffer.byteLength(socketPath) > longestSocketPath) {
    throw new WireError(`${socketPath} is longer than the ${longestSocketPath} bytes of a unix socket address`, {
      code: 'unreachable',
    });
  }
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ path: socketPath });
    const done = (err?: Error): void => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      if (err === undefined) resolve();
      else reject(err);
    };
    const onAbort = (): void => done(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', () => done());
    socket.once('error', (cause) => {
      const errno = errnoOf(cause);
      const words =
        errno === 'ECONNREFUSED'
          ? `nobody listens on ${socketPath}`
          : `${socketPath} cannot be opened (${errno ?? cause.message})`;
      done(new WireError(words, { code: 'unreachable' }, { cause }));
    });
  });
}
