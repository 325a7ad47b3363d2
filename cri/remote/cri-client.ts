import {
  Channel,
  Metadata,
  credentials,
  type Client,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import type { CallRecorder, CallSubject } from '../../base/call-recorder.js';
import { onAbort } from '../../base/signals.js';
import type { ProtoServices } from '../../proto/load.js';
import { criErrorFromWire, type FailedCall } from './grpc-status.js';
import { objectOf } from './object-of-request.js';

/** One entry of the generated `...Methods` interfaces. */
interface Method {
  readonly request: unknown;
  readonly response: unknown;
  readonly kind: 'unary' | 'stream';
}

type NamesOf<M, Kind> = { [K in keyof M]: M[K] extends { kind: Kind } ? K : never }[keyof M] & string;
type Request<M, K extends keyof M> = M[K] extends Method ? M[K]['request'] : never;
type Response<M, K extends keyof M> = M[K] extends Method ? M[K]['response'] : never;

type NamedMethod = ServiceDefinition[string] & { readonly verb: string };

export interface CallOptions {
  /** Undefined: no deadline. */
  readonly deadlineMs: number | undefined;
  /** For the recorder; undefined: not worth recording (questions that are asked all the time). */
  readonly record?: { readonly subject: CallSubject; readonly request: unknown } | undefined;
}

export interface CriClientDeps {
  readonly recorder: CallRecorder;
}

/** Most bytes of one message, both ways; what the kubelet and containerd allow. */
export const maxMessageBytes = 16 * 1024 * 1024;

/** Connects when the first call is made and again whenever the runtime comes back. */
export function openChannel(endpoint: string): Channel {
  return new Channel(endpoint, credentials.createInsecure(), {
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2000,
    // A call is sent once: whether it may be repeated is known only to whoever asked for it.
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_http_proxy': 0,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_channelz': 0,
  });
}

/** Calls one gRPC service with the generated types; every failure is a `CriError`, an abort rejects with its reason. */
export class CriClient<M> {
  readonly #client: Client;
  readonly #service: ServiceDefinition;
  readonly #methods = new Map<string, NamedMethod>();
  readonly #plugin: string;
  readonly #deps: CriClientDeps;

  constructor(services: ProtoServices, service: string, channel: Channel, plugin: string, deps: CriClientDeps) {
    const Service = services(service);
    this.#client = new Service(plugin, credentials.createInsecure(), { channelOverride: channel });
    this.#service = Service.service;
    this.#plugin = plugin;
    this.#deps = deps;
  }

  async call<K extends NamesOf<M, 'unary'>>(
    name: K,
    request: Request<M, K>,
    options: CallOptions,
    signal: AbortSignal,
  ): Promise<Response<M, K>> {
    signal.throwIfAborted();
    const method = this.#method(name);
    const { deadlineMs, record } = options;
    const began = performance.now();
    const ended =
      record && this.#deps.recorder.begin({ interface: 'cri', plugin: this.#plugin, verb: method.verb, ...record });
    try {
      const response = await new Promise<unknown>((resolve, reject) => {
        const call: ClientUnaryCall = this.#client.makeUnaryRequest(
          method.path,
          method.requestSerialize,
          method.responseDeserialize,
          request,
          new Metadata(),
          deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs },
          (err, value) => {
            unlisten();
            if (err === null) resolve(value);
            else reject(err);
          },
        );
        const unlisten = onAbort(signal, () => call.cancel());
      });
      ended?.({ response });
      return response as Response<M, K>;
    } catch (err) {
      const failure = criErrorFromWire(this.#failed(method, request, began), err);
      ended?.({ error: { code: failure.failure.code, message: failure.message } });
      signal.throwIfAborted();
      throw failure;
    }
  }

  /** Ends without an error when the signal aborts. */
  async *stream<K extends NamesOf<M, 'stream'>>(
    name: K,
    request: Request<M, K>,
    deadlineMs: number | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Response<M, K>> {
    if (signal.aborted) return;
    const method = this.#method(name);
    const began = performance.now();
    const call: ClientReadableStream<unknown> = this.#client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      new Metadata(),
      deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs },
    );
    const unlisten = onAbort(signal, () => call.cancel());
    try {
      for await (const message of call) yield message as Response<M, K>;
    } catch (err) {
      if (!signal.aborted) throw criErrorFromWire(this.#failed(method, request, began), err);
    } finally {
      unlisten();
      call.cancel();
    }
  }

  #failed({ verb }: NamedMethod, request: unknown, began: number): FailedCall {
    return { verb, object: objectOf(request), endpoint: this.#plugin, waitedMs: performance.now() - began };
  }

  #method(name: string): NamedMethod {
    const known = this.#methods.get(name);
    if (known !== undefined) return known;
    const verb = `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
    const definition = this.#service[verb];
    if (definition === undefined) throw new Error(`call ${verb}: the service has no such method`);
    const method = { ...definition, verb };
    this.#methods.set(name, method);
    return method;
  }
}
