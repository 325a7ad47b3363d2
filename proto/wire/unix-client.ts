import type { Client, MethodDefinition, ServiceClientConstructor } from '@grpc/grpc-js';
import { onAbort } from '../../base/signals.js';
import { loadGrpc, type ProtoName } from '../load.js';
import { checkSocketPath, probeSocket } from './probe-socket.js';
import { notAsked, wireError } from './wire-error.js';
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
  /** The largest answer that is taken; 16 MiB when absent. */
  readonly maxAnswerBytes?: number | undefined;
}

/** A channel nobody uses closes its socket after this long: no descriptor is held at rest, no dead server is dialled. */
const idleAfterMs = 10_000;
const usualMaxAnswerBytes = 16 * 1024 * 1024;

interface Opened {
  readonly client: Client;
  readonly service: ServiceClientConstructor['service'];
}

/**
 * A gRPC client on a unix socket. The gRPC library is loaded with the first call and the connection is made then too; it
 * comes back by itself when the server restarts on the same path.
 */
export class UnixClient<M extends WireMethods<M>> implements Disposable {
  readonly #options: UnixClientOptions;
  #opened: Promise<Opened> | undefined;
  #closed = false;

  constructor(options: UnixClientOptions) {
    this.#options = options;
  }

  /** Resolves when a gRPC server answers on the socket; a socket nobody listens on is reported at once, by its errno. */
  async connect(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const { socketPath } = this.#options;
    await probeSocket(socketPath, signal);
    const { client } = await this.#open();
    await new Promise<void>((resolve, reject) => {
      signal.throwIfAborted();
      const unlink = onAbort(signal, () => reject(signal.reason as Error));
      client.waitForReady(Date.now() + timeoutMs, (err) => {
        unlink();
        if (err === undefined || err === null) return resolve();
        reject(notAsked(`no gRPC server answered on ${socketPath} within ${timeoutMs} ms`, 'deadline-exceeded'));
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
    const { client, service } = await this.#open();
    const { path, requestSerialize, read, garbled } = this.#method(service, method);
    return await new Promise<M[K]['response']>((resolve, reject) => {
      signal.throwIfAborted();
      const options = { deadline: Date.now() + timeoutMs };
      const call = client.makeUnaryRequest(path, requestSerialize, read, request, options, (err, response) => {
        unlink();
        if (signal.aborted) return reject(signal.reason as Error);
        if (err) return reject(wireError(err, garbled()));
        resolve(response as M[K]['response']);
      });
      const unlink = onAbort(signal, () => call.cancel());
    });
  }

  /** Resolves when the server ends the stream; rejects with `WireError`, or with the signal's reason. */
  async stream<K extends keyof M & string>(
    method: K,
    request: M[K]['request'],
    onMessage: (message: M[K]['response']) => void,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    const { client, service } = await this.#open();
    const { path, requestSerialize, read, garbled } = this.#method(service, method);
    await new Promise<void>((resolve, reject) => {
      signal.throwIfAborted();
      const call = client.makeServerStreamRequest(path, requestSerialize, read, request);
      const unlink = onAbort(signal, () => {
        call.cancel();
        reject(signal.reason as Error);
      });
      call.on('data', (message: M[K]['response']) => {
        if (!signal.aborted) onMessage(message);
      });
      call.on('error', (err) => {
        unlink();
        reject(signal.aborted ? (signal.reason as Error) : wireError(err, garbled()));
      });
      call.on('end', () => {
        unlink();
        resolve();
      });
    });
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    void this.#opened?.then(
      ({ client }) => client.close(),
      () => {},
    );
    this.#opened = undefined;
  }

  /** How to ask it. That an answer cannot be parsed is noted where it happens: grpc-js tells it by words only. */
  #method(
    service: Opened['service'],
    method: string,
  ): Pick<MethodDefinition<object, object>, 'path' | 'requestSerialize'> & {
    read: (bytes: Buffer) => object;
    garbled: () => boolean;
  } {
    const definition = service[`${method.charAt(0).toUpperCase()}${method.slice(1)}`];
    if (definition === undefined) throw new Error(`call ${method}: ${this.#options.service} has no such method`);
    let garbled = false;
    const read = (bytes: Buffer): object => {
      try {
        return definition.responseDeserialize(bytes) as object;
      } catch (err) {
        garbled = true;
        throw err;
      }
    };
    return { path: definition.path, requestSerialize: definition.requestSerialize, read, garbled: () => garbled };
  }

  /** What could not be loaded is tried again with the next call. */
  async #open(): Promise<Opened> {
    if (this.#closed) throw notAsked('the connection was closed', 'unavailable');
    const opened = (this.#opened ??= this.#load());
    try {
      return await opened;
    } catch (err) {
      if (this.#opened === opened) this.#opened = undefined;
      throw err;
    }
  }

  async #load(): Promise<Opened> {
    const { socketPath, proto, service, maxAnswerBytes = usualMaxAnswerBytes } = this.#options;
    checkSocketPath(socketPath);
    const { services = new WireServices() } = this.#options;
    const Service = await services.load(proto, service);
    const client = new Service(`unix:${socketPath}`, loadGrpc().credentials.createInsecure(), {
      'grpc.default_authority': 'localhost',
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1000,
      'grpc.client_idle_timeout_ms': idleAfterMs,
      'grpc.max_receive_message_length': maxAnswerBytes,
      // A call is sent once: whether it may be repeated is known only to whoever asked for it.
      'grpc.enable_retries': 0,
      'grpc.service_config_disable_resolution': 1,
      'grpc.enable_http_proxy': 0,
      'grpc.enable_channelz': 0,
    });
    return { client, service: Service.service };
  }
}
