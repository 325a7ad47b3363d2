import type { CallRecorder, CallSubject } from '../../base/call-recorder.js';
import { isAbortOf } from '../../base/signals.js';
import type {
  DRAResourceHealthMethods,
  NodeWatchResourcesResponse,
} from '../../proto/generated/dra-health-v1alpha1.js';
import type { Claim, Device, DRAPluginMethods } from '../../proto/generated/dra-v1.js';
import { UnixClient, WireError, type WireServices } from '../../proto/wire/index.js';
import { wireTrouble } from '../wire/wire-trouble.js';
import type { PreparedDevice } from './claim-info.js';
import { DraError, type DraFailure, type DraVerb } from './dra-error.js';

/** Newest first: the words drivers use for the gRPC services they have. */
export const draServices = ['v1.DRAPlugin', 'v1beta1.DRAPlugin'] as const;
export type DraService = (typeof draServices)[number];

const protos = { 'v1.DRAPlugin': 'dra-v1', 'v1beta1.DRAPlugin': 'dra-v1beta1' } as const;

export interface DraDriverOptions {
  readonly name: string;
  readonly endpoint: string;
  readonly service: DraService;
  readonly timeoutMs: number;
  readonly services: WireServices;
}

/** One registered instance of a driver. */
export class DraDriver implements Disposable {
  readonly name: string;
  readonly endpoint: string;
  readonly #options: DraDriverOptions;
  readonly #recorder: CallRecorder;
  readonly #client: UnixClient<DRAPluginMethods>;
  readonly #health: UnixClient<DRAResourceHealthMethods>;

  constructor(options: DraDriverOptions, recorder: CallRecorder) {
    const { name, endpoint, service, services } = options;
    this.name = name;
    this.endpoint = endpoint;
    this.#options = options;
    this.#recorder = recorder;
    this.#client = new UnixClient({
      socketPath: endpoint,
      services,
      proto: protos[service],
      service: `k8s.io.kubelet.pkg.apis.dra.${service}`,
    });
    this.#health = new UnixClient({
      socketPath: endpoint,
      services,
      proto: 'dra-health-v1alpha1',
      service: 'v1alpha1.DRAResourceHealth',
    });
  }

  /** The devices per claim UID. Rejects with `DraError` when any claim failed. */
  async prepare(
    claims: readonly Claim[],
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, readonly PreparedDevice[]>> {
    const answer = await this.#call('nodePrepareResources', claims, subject, signal);
    this.#checkAnswer('NodePrepareResources', claims, answer.claims ?? {});
    return new Map(
      Object.entries(answer.claims ?? {}).map(([uid, claim]) => [uid, (claim.devices ?? []).map(toPrepared)]),
    );
  }

  /** Rejects with `DraError` when any claim failed. */
  async unprepare(claims: readonly Claim[], subject: CallSubject, signal: AbortSignal): Promise<void> {
    const answer = await this.#call('nodeUnprepareResources', claims, subject, signal);
    this.#checkAnswer('NodeUnprepareResources', claims, answer.claims ?? {});
  }

  /** Reports health until the stream ends; rejects with `WireError`. */
  async watchHealth(onMessage: (message: NodeWatchResourcesResponse) => void, signal: AbortSignal): Promise<void> {
    await this.#health.stream('nodeWatchResources', {}, onMessage, signal);
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
    this.#health[Symbol.dispose]();
  }

  async #call<K extends keyof DRAPluginMethods>(
    method: K,
    claims: readonly Claim[],
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<DRAPluginMethods[K]['response']> {
    const verb: DraVerb = method === 'nodePrepareResources' ? 'NodePrepareResources' : 'NodeUnprepareResources';
    const request = { claims };
    const { service } = this.#options;
    const end = this.#recorder.begin({ interface: 'dra', plugin: this.name, verb, service, subject, request });
    try {
      const response = await this.#client.call(method, request, this.#options.timeoutMs, signal);
      end({ response });
      return response;
    } catch (err) {
      if (isAbortOf(err, signal)) {
        end({ error: { code: 'cancelled', message: 'given up' } });
        throw err;
      }
      const failure = this.#errorOf(err, verb);
      end({ error: { code: failure.failure.code, message: failure.message } });
      throw failure;
    }
  }

  #errorOf(err: unknown, verb: DraVerb): DraError {
    if (!(err instanceof WireError)) throw err;
    const { name: driver } = this;
    const afterMs = this.#options.timeoutMs;
    const fail = (words: string, failure: DraFailure): DraError =>
      new DraError(`call ${verb} of the driver ${driver}: ${words}`, failure, { cause: err });
    switch (wireTrouble(err)) {
      case 'timed-out':
        return fail(`no answer within ${afterMs} ms`, { code: 'driver-timed-out', driver, verb, afterMs });
      case 'unreachable':
        return fail(err.message, { code: 'driver-unreachable', driver, verb });
      case 'garbage':
        return fail(`its answer cannot be read: ${err.message}`, { code: 'bad-answer', driver, verb });
      case 'refused':
      case 'unimplemented':
        return fail(err.message, { code: 'driver-refused', driver, verb, words: err.message });
    }
  }

  /** Every claim must be answered for, and none that was not asked about. */
  #checkAnswer(
    verb: DraVerb,
    claims: readonly Claim[],
    answers: Readonly<Record<string, { readonly error?: string | undefined }>>,
  ): void {
    const { name: driver } = this;
    for (const { uid = '', name = '' } of claims) {
      const words = answers[uid]?.error ?? '';
      if (words !== '') {
        throw new DraError(`call ${verb} of the driver ${driver} for ResourceClaim ${name}: ${words}`, {
          code: 'driver-refused',
          driver,
          verb,
          words,
        });
      }
      if (answers[uid] === undefined) {
        throw new DraError(`call ${verb} of the driver ${driver}: its answer leaves out ResourceClaim ${name}`, {
          code: 'bad-answer',
          driver,
          verb,
        });
      }
    }
    const odd = Object.keys(answers).find((uid) => !claims.some((claim) => claim.uid === uid));
    if (odd !== undefined) {
      throw new DraError(`call ${verb} of the driver ${driver}: it answers for the unknown claim ${odd}`, {
        code: 'bad-answer',
        driver,
        verb,
      });
    }
  }
}

function toPrepared(device: Device): PreparedDevice {
  return {
    pool: device.poolName ?? '',
    device: device.deviceName ?? '',
    shareId: device.shareId === undefined || device.shareId === '' ? undefined : device.shareId,
    requests: device.requestNames ?? [],
    cdiDevices: device.cdiDeviceIds ?? [],
  };
}
