import type { CallRecorder, CallSubject } from '../../base/call-recorder.js';
import type { ControllerMethods, IdentityMethods, NodeMethods } from '../../proto/generated/csi-v1.js';
import { UnixClient, WireError, WireServices, type WireMethods } from '../../proto/wire/index.js';
import { givenUp } from '../wire/calls-under-way.js';
import { secretMask } from '../wire/secret-mask.js';
import { csiErrorOfCall, type CsiError } from './csi-error.js';
import { maskRequest, secretsOf } from './volume-context.js';

export interface CsiConnectionOptions {
  readonly driver: string;
  /** The driver's socket. */
  readonly endpoint: string;
  /** The socket of the controller service when it has one of its own. */
  readonly controllerEndpoint?: string | undefined;
  /** The deadline of each call; the kubelet's two minutes when absent. */
  readonly timeoutMs?: number | undefined;
  readonly services?: WireServices | undefined;
}

export const csiTimeoutMs = 120_000;
/** As gRPC in Go takes, which drivers are made for. */
const maxAnswerBytes = 4 * 1024 * 1024;

/** The three services of one driver. Every call is recorded, secrets masked, and ends by its deadline. */
export class CsiConnection implements Disposable {
  readonly driver: string;
  readonly #options: CsiConnectionOptions;
  readonly #recorder: CallRecorder;
  readonly #identity: UnixClient<IdentityMethods>;
  readonly #node: UnixClient<NodeMethods>;
  readonly #controller: UnixClient<ControllerMethods>;

  constructor(options: CsiConnectionOptions, recorder: CallRecorder) {
    this.driver = options.driver;
    this.#options = options;
    this.#recorder = recorder;
    const { endpoint, controllerEndpoint = endpoint } = options;
    const { services = new WireServices() } = options;
    const wire = { socketPath: endpoint, proto: 'csi-v1', services, maxAnswerBytes } as const;
    this.#identity = new UnixClient({ ...wire, service: 'csi.v1.Identity' });
    this.#node = new UnixClient({ ...wire, service: 'csi.v1.Node' });
    this.#controller = new UnixClient({ ...wire, socketPath: controllerEndpoint, service: 'csi.v1.Controller' });
  }

  async identity<K extends keyof IdentityMethods>(
    method: K,
    request: IdentityMethods[K]['request'],
    signal: AbortSignal,
  ): Promise<IdentityMethods[K]['response']> {
    return await this.#call(this.#identity, method, request, {}, signal);
  }

  async node<K extends keyof NodeMethods>(
    method: K,
    request: NodeMethods[K]['request'],
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<NodeMethods[K]['response']> {
    return await this.#call(this.#node, method, request, subject, signal);
  }

  async controller<K extends keyof ControllerMethods>(
    method: K,
    request: ControllerMethods[K]['request'],
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<ControllerMethods[K]['response']> {
    return await this.#call(this.#controller, method, request, subject, signal);
  }

  [Symbol.dispose](): void {
    this.#identity[Symbol.dispose]();
    this.#node[Symbol.dispose]();
    this.#controller[Symbol.dispose]();
  }

  async #call<M extends WireMethods<M>, K extends keyof M & string>(
    client: UnixClient<M>,
    method: K,
    request: M[K]['request'],
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<M[K]['response']> {
    const rpc = `${method.charAt(0).toUpperCase()}${method.slice(1)}`;
    const end = this.#recorder.begin({
      interface: 'csi',
      plugin: this.driver,
      verb: rpc,
      subject,
      request: maskRequest(request),
    });
    try {
      const response = await client.call(method, request, this.#options.timeoutMs ?? csiTimeoutMs, signal);
      end({ response });
      return response;
    } catch (err) {
      if (signal.aborted || !(err instanceof WireError)) {
        end({ error: givenUp });
        throw err;
      }
      const failure = this.#failure(rpc, err, request);
      end({ error: { code: failure.failure.code, message: failure.message } });
      throw failure;
    }
  }

  #failure(rpc: string, err: WireError, request: object): CsiError {
    return csiErrorOfCall(this.driver, rpc, err, secretMask(secretsOf(request))(err.message));
  }
}
