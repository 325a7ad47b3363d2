import { connect } from 'node:net';
import type { Client } from '@grpc/grpc-js';
import type { ProtoName } from '../../proto/load.js';
import { errnoOf } from '../../base/errors.js';
import { WireError, wireError } from './wire-error.js';
import { WireServices } from './wire-services.js';

/** The shape of the `...Methods` interfaces in `proto/generated`. */
export type WireMethods<M> = { readonly [K in keyof M]: { request: object; response: object; kind: string } };

export interface UnixClientOptions {
  readonly socketPath: string;
  readonly proto: ProtoName;
  /** The full name: `csi.v1.Node`. */
  readonly service: string;
  /** Shared by clients that come and go. */
  readonly services?: WireServices | undefined;
}

/** What the kernel lets a unix socket address hold, less the closing zero. */
const longestSocketPath = 107;

/** A channel nobody uses closes its socket after this long: no descriptor is held at rest, no dead driver is dialled. */
const idleAfterMs = 10_000;

/**
 * A gRPC client on a unix socket. The gRPC library is loaded with the first call and the connection is made then too; it
 * comes back by itself when the server restarts on the same path.
 */
export class UnixClient<M extends WireMethods<M>> implements Disposable {
  readonly #options: UnixClientOptions;
  #client: Promise<Client> | undefined;
  #closed = false;

  constructor(options: UnixClientOptions) {
    this.#options = options;
  }

  /** Resolves when the server answers on the socket; a socket nobody listens on is reported at once, by its errno. */
  async connect(timeoutMs: number, signal: AbortSignal): Promise<void> {
    await probeSocket(this.#options.socketPath, signal);
    const client = await this.#open();
    await new Promise<void>((resolve, reject) => {
      signal.throwIfAborted();
      const onAbort = (): void => reject(signal.reason as Error);
      signal.addEventListener('abort', onAbort, { once: true });
      client.waitForReady(Date.now() + timeoutMs, (err) => {
        signal.removeEventListener('abort', onAbort);
        if (err === undefined || err === null) return resolve();
        reject(
          new WireError(`no gRPC server answered on ${this.#options.socketPath} within ${timeoutMs} ms`, {
            code: 'unavailable',
            streamBroken: false,
          }),
        );
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
    signal.throwIfAborted();
    const client = await this.#open();
    const unary = (client as unknown as Record<string, UnaryMethod | undefined>)[method];
    if (unary === undefined) throw new Error(`call ${method}: ${this.#options.service} has no such method`);
    return await new Promise<M[K]['response']>((resolve, reject) => {
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

  [Symbol.dispose](): void {
    this.#closed = true;
    void this.#client?.then(
      (client) => client.close(),
      () => {},
    );
    this.#client = undefined;
  }

  #open(): Promise<Client> {
    if (this.#closed) throw new WireError('the connection was closed', { code: 'unavailable', streamBroken: false });
    this.#client ??= this.#load();
    return this.#client;
  }

  async #load(): Promise<Client> {
    const { socketPath, proto, service } = this.#options;
    if (Buffer.byteLength(socketPath) > longestSocketPath) {
      throw new WireError(
        `${socketPath} is longer than the ${longestSocketPath} bytes a unix socket address can hold`,
        {
          code: 'invalid-argument',
          streamBroken: false,
        },
      );
    }
    const { services = new WireServices() } = this.#options;
    const [{ credentials }, Service] = await Promise.all([import('@grpc/grpc-js'), services.load(proto, service)]);
    return new Service(`unix:${socketPath}`, credentials.createInsecure(), {
      'grpc.default_authority': 'localhost',
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1000,
      'grpc.client_idle_timeout_ms': idleAfterMs,
      // As gRPC in Go, which the drivers are made for: no limit on what is sent, 4 MiB on what comes back.
      'grpc.max_receive_message_length': 4 * 1024 * 1024,
    });
  }
}

type UnaryMethod = (
  request: object,
  options: { deadline: number },
  reply: (err: Error | null, response: unknown) => void,
) => { cancel(): void };

/** Whether anybody listens: gRPC itself would only say that it could not connect before the deadline. */
export async function probeSocket(socketPath: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ path: socketPath });
    const onAbort = (): void => {
      socket.destroy();
      reject(signal.reason as Error);
    };
    const done = (err?: Error): void => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      if (err === undefined) resolve();
      else reject(err);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', () => done());
    socket.once('error', (err) =>
      done(
        new WireError(
          errnoOf(err) === 'ECONNREFUSED'
            ? `nobody listens on ${socketPath}`
            : `${socketPath} cannot be opened (${errnoOf(err) ?? err.message})`,
          { code: 'unavailable', streamBroken: false },
          { cause: err },
        ),
      ),
    );
  });
}
