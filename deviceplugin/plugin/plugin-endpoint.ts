import type { CallRecorder, CallSubject } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { isAbortOf } from '../../base/signals.js';
import type { ContainerAllocateResponse, ListAndWatchResponse } from '../../proto/generated/deviceplugin-v1beta1.js';
import { probeSocket, UnixClient, WireError, type WireServices } from '../../proto/wire/index.js';
import { DevicePluginError } from '../device-plugin-error.js';
import { devicesFromWire, healthyCount } from '../devices/device.js';
import type { DeviceEndpoint, EndpointEvents, EndpointOptions, PreferenceRequest } from '../devices/endpoint.js';
import { answerProblem } from './answer-problem.js';
import { callPlugin, pluginError, type PluginClient, type PluginTimeouts } from './plugin-calls.js';

export interface PluginEndpointOptions {
  readonly resource: string;
  readonly socketPath: string;
  readonly timeouts: PluginTimeouts;
  /** How long after a stop it is still looked for on its socket. */
  readonly graceMs: number;
  /** The first pause before it is looked for; doubles up to 30 s. */
  readonly retryMs: number;
}

export interface PluginEndpointDeps {
  readonly clock: Clock;
  readonly recorder: CallRecorder;
  readonly log: Logger;
  readonly services: WireServices;
}

const longestRetryMs = 30_000;

/**
 * One device plugin, from the moment it answered on its socket. `ListAndWatch` stays open; when it ends the plugin counts
 * as stopped, and is asked again while somebody listens on its socket: a plugin is not expected to register again only
 * because a stream broke.
 */
export class PluginEndpoint implements DeviceEndpoint {
  readonly resource: string;
  readonly socketPath: string;
  readonly #options: PluginEndpointOptions;
  readonly #deps: PluginEndpointDeps;
  readonly #client: PluginClient;
  readonly #life = new AbortController();
  #pluginOptions: EndpointOptions;
  #watching: Promise<void> | undefined;

  private constructor(
    options: PluginEndpointOptions,
    deps: PluginEndpointDeps,
    client: PluginClient,
    pluginOptions: EndpointOptions,
  ) {
    this.#options = options;
    this.#deps = deps;
    this.#client = client;
    this.#pluginOptions = pluginOptions;
    this.resource = options.resource;
    this.socketPath = options.socketPath;
  }

  /** Dials the plugin and asks for its options. Rejects with `DevicePluginError`; nothing is left then. */
  static async connect(
    options: PluginEndpointOptions,
    deps: PluginEndpointDeps,
    signal: AbortSignal,
  ): Promise<PluginEndpoint> {
    const client: PluginClient = new UnixClient({
      socketPath: options.socketPath,
      proto: 'deviceplugin-v1beta1',
      service: 'v1beta1.DevicePlugin',
      services: deps.services,
    });
    try {
      return new PluginEndpoint(options, deps, client, await askOptions(client, options, deps, signal));
    } catch (err) {
      client[Symbol.dispose]();
      throw err;
    }
  }

  get options(): EndpointOptions {
    return this.#pluginOptions;
  }

  watch(events: EndpointEvents): void {
    this.#watching ??= this.#watch(events, this.#life.signal).catch((err: unknown) => {
      if (!isAbortOf(err, this.#life.signal)) {
        this.#deps.log.error({ err, resource: this.resource }, 'watching a device plugin failed');
        events.stopped(errorText(err));
      }
    });
  }

  async preferred(request: PreferenceRequest, subject: CallSubject, signal: AbortSignal): Promise<readonly string[]> {
    const response = await callPlugin(
      this.#client,
      {
        resource: this.resource,
        method: 'getPreferredAllocation',
        request: {
          containerRequests: [
            {
              availableDeviceIDs: request.available,
              mustIncludeDeviceIDs: request.mustInclude,
              allocationSize: request.size,
            },
          ],
        },
        timeoutMs: this.#options.timeouts.getPreferredAllocation,
      },
      { recorder: this.#deps.recorder, subject },
      signal,
    );
    return response.containerResponses?.[0]?.deviceIDs ?? [];
  }

  async allocate(
    ids: readonly string[],
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<ContainerAllocateResponse> {
    const response = await callPlugin(
      this.#client,
      {
        resource: this.resource,
        method: 'allocate',
        request: { containerRequests: [{ devicesIds: ids }] },
        timeoutMs: this.#options.timeouts.allocate,
      },
      { recorder: this.#deps.recorder, subject },
      signal,
    );
    const [answer] = response.containerResponses ?? [];
    const problem = answer === undefined ? 'it names no container' : answerProblem(answer);
    if (answer !== undefined && problem === undefined) return answer;
    throw new DevicePluginError(`call Allocate of the device plugin of ${this.resource}: ${problem}`, {
      code: 'bad-answer',
      resource: this.resource,
      verb: 'Allocate',
    });
  }

  async preStart(ids: readonly string[], subject: CallSubject, signal: AbortSignal): Promise<void> {
    await callPlugin(
      this.#client,
      {
        resource: this.resource,
        method: 'preStartContainer',
        request: { devicesIds: ids },
        timeoutMs: this.#options.timeouts.preStart,
      },
      { recorder: this.#deps.recorder, subject },
      signal,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#life.abort();
    this.#client[Symbol.dispose]();
    await this.#watching;
  }

  async #watch(events: EndpointEvents, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    let retryInMs = this.#options.retryMs;
    let until = clock.now() + this.#options.graceMs;
    while (true) {
      let listed = false;
      const noted: EndpointEvents = {
        devices: (devices) => {
          listed = true;
          events.devices(devices);
        },
        stopped: (reason) => events.stopped(reason),
      };
      const reason = await this.#listUntilEnd(noted, signal);
      // One that answers and then only talks garbage does not earn itself another grace.
      if (listed) {
        retryInMs = this.#options.retryMs;
        until = clock.now() + this.#options.graceMs;
      }
      log.warn({ resource: this.resource, reason, retryInMs }, 'device plugin stopped');
      events.stopped(reason);
      do {
        if (clock.now() + retryInMs > until) return;
        await clock.sleep(retryInMs, signal);
        retryInMs = Math.min(retryInMs * 2, longestRetryMs);
      } while (!(await this.#answersAgain(signal)));
    }
  }

  async #listUntilEnd(events: EndpointEvents, signal: AbortSignal): Promise<string> {
    const { recorder } = this.#deps;
    const call = { interface: 'device-plugin', plugin: this.resource, verb: 'ListAndWatch', subject: {} } as const;
    // A stream has no one answer: each state that comes is one record.
    let end: ReturnType<CallRecorder['begin']> | undefined = recorder.begin(call);
    const onMessage = (message: ListAndWatchResponse): void => {
      (end ?? recorder.begin(call))({ response: message });
      end = undefined;
      this.#report(message, events);
    };
    try {
      await this.#client.stream('listAndWatch', {}, onMessage, signal);
      end?.({ error: { code: 'ended', message: 'the plugin ended the stream' } });
      return 'it ended its list of devices';
    } catch (err) {
      if (isAbortOf(err, signal)) {
        end?.({ error: { code: 'cancelled', message: 'given up' } });
        throw err;
      }
      const { message, failure } = pluginError(err, this.resource, 'ListAndWatch', 0);
      (end ?? recorder.begin(call))({ error: { code: failure.code, message } });
      return message;
    }
  }

  #report(message: ListAndWatchResponse, events: EndpointEvents): void {
    const { devices, problems } = devicesFromWire(message.devices ?? []);
    const { log } = this.#deps;
    if (problems.length > 0) log.warn({ resource: this.resource, problems }, 'device plugin lists odd devices');
    log.debug(
      { resource: this.resource, devices: devices.size, healthy: healthyCount(devices) },
      'device plugin lists its devices',
    );
    events.devices(devices);
  }

  /** The plugin may be another process on the same socket by now: its options are asked for again. */
  async #answersAgain(signal: AbortSignal): Promise<boolean> {
    try {
      await probeSocket(this.socketPath, signal);
      this.#pluginOptions = await askOptions(this.#client, this.#options, this.#deps, signal);
      return true;
    } catch (err) {
      if (err instanceof WireError || err instanceof DevicePluginError) return false;
      throw err;
    }
  }
}

async function askOptions(
  client: PluginClient,
  options: PluginEndpointOptions,
  deps: PluginEndpointDeps,
  signal: AbortSignal,
): Promise<EndpointOptions> {
  const { resource, timeouts } = options;
  try {
    await client.connect(timeouts.connect, signal);
  } catch (err) {
    if (isAbortOf(err, signal)) throw err;
    throw pluginError(err, resource, 'GetDevicePluginOptions', timeouts.connect);
  }
  const answer = await callPlugin(
    client,
    { resource, method: 'getDevicePluginOptions', request: {}, timeoutMs: timeouts.getOptions },
    { recorder: deps.recorder, subject: {} },
    signal,
  );
  return {
    preStartRequired: answer.preStartRequired ?? false,
    hasPreference: answer.getPreferredAllocationAvailable ?? false,
  };
}
