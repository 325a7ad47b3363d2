import { watch, type FSWatcher } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.js';
import { errnoOf, errorText } from '../../base/errors.js';
import { isAbortOf } from '../../base/signals.js';
import type {
  AllocateRequest,
  ContainerAllocateResponse,
  PreferredAllocationRequest,
  PreStartContainerRequest,
  RegistrationMethods,
} from '../../proto/generated/deviceplugin-v1beta1.js';
import { UnixClient, WireError, WireServices } from '../../proto/wire/index.js';
import type { Device } from '../devices/device.js';
import type { PreferenceRequest } from '../devices/endpoint.js';
import { UnixServer, type ServedStream } from '../wire/unix-server.js';
import { wireTrouble } from '../wire/wire-trouble.js';

/** What a plugin does; what it throws is told to the agent and stands in the pod's status. */
export interface DevicePlugin {
  /** Makes these devices ready for one container and says what the container needs. May be repeated. */
  allocate(ids: readonly string[]): ContainerAllocateResponse | Promise<ContainerAllocateResponse>;
  /** Which `size` of `available` it would take, `mustInclude` among them. */
  preferred?(request: PreferenceRequest): readonly string[] | Promise<readonly string[]>;
  /** Called before every start of the container. */
  preStart?(ids: readonly string[]): void | Promise<void>;
}

export interface ServeOptions {
  /** `example.com/gpu`. */
  readonly resource: string;
  /** Default `/var/lib/kubelet/device-plugins`. */
  readonly folder?: string | undefined;
  /** Default: the resource with `_` for `/`. */
  readonly socketName?: string | undefined;
  /** One line for a person; default: nothing is said. */
  readonly log?: ((line: string) => void) | undefined;
}

const registrationSocket = 'kubelet.sock';
const registerTimeoutMs = 15_000;
const firstRetryMs = 200;
const longestRetryMs = 10_000;

/**
 * A device plugin on its socket, registered with the agent or kubelet of this node, and registered again when that one
 * starts anew. Works with both.
 */
export class ServedDevicePlugin implements AsyncDisposable {
  readonly #options: ServeOptions;
  readonly #plugin: DevicePlugin;
  readonly #folder: string;
  readonly #socketName: string;
  readonly #services = new WireServices();
  readonly #streams = new Set<ServedStream>();
  readonly #life = new AbortController();
  #devices: readonly Device[];
  #server: UnixServer | undefined;
  #watcher: FSWatcher | undefined;
  #registeredWith: string | undefined;
  #registering: Promise<void> | undefined;
  /** The folder changed since it was last looked at. */
  #changed = false;

  private constructor(options: ServeOptions, plugin: DevicePlugin, devices: readonly Device[]) {
    this.#options = options;
    this.#plugin = plugin;
    this.#devices = devices;
    this.#folder = options.folder ?? '/var/lib/kubelet/device-plugins';
    this.#socketName = options.socketName ?? `${options.resource.replaceAll('/', '_')}.sock`;
  }

  /** Resolves when it serves; it registers as soon as there is somebody to register with. */
  static async serve(
    options: ServeOptions,
    plugin: DevicePlugin,
    devices: readonly Device[],
  ): Promise<ServedDevicePlugin> {
    const served = new ServedDevicePlugin(options, plugin, devices);
    await served.#listen();
    served.#watcher = watch(served.#folder, (_event, name) => {
      if (name === registrationSocket || name === served.#socketName) served.#registerSoon();
    });
    served.#registerSoon();
    return served;
  }

  /** All devices there are now, with their health. */
  update(devices: readonly Device[]): void {
    this.#devices = devices;
    for (const stream of this.#streams) stream.write(this.#list());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#life.abort();
    this.#watcher?.close();
    await this.#registering;
    await this.#server?.[Symbol.asyncDispose]();
  }

  #registerSoon(): void {
    this.#changed = true;
    this.#registering ??= this.#registerWhileChanging().finally(() => {
      this.#registering = undefined;
    });
  }

  async #registerWhileChanging(): Promise<void> {
    while (this.#changed && !this.#life.signal.aborted) {
      this.#changed = false;
      try {
        await this.#register(this.#life.signal);
      } catch (err) {
        if (!isAbortOf(err, this.#life.signal)) this.#say(`not registered: ${errorText(err)}`);
      }
    }
  }

  async #register(signal: AbortSignal): Promise<void> {
    const path = join(this.#folder, registrationSocket);
    for (let retryInMs = firstRetryMs; ; retryInMs = Math.min(retryInMs * 2, longestRetryMs)) {
      const agent = await identity(path);
      // Nobody is there: the watch wakes us when somebody comes.
      if (agent === undefined || agent === this.#registeredWith) return;
      try {
        // An agent that starts wipes the sockets of plugins.
        if ((await identity(join(this.#folder, this.#socketName))) === undefined) await this.#listen();
        await this.#sayHello(path, signal);
        this.#registeredWith = agent;
        this.#say(`registered ${this.#options.resource}`);
      } catch (err) {
        if (isAbortOf(err, signal) || !(err instanceof WireError) || wireTrouble(err) === 'refused') throw err;
        await systemClock.sleep(retryInMs, signal);
      }
    }
  }

  async #sayHello(path: string, signal: AbortSignal): Promise<void> {
    using client = new UnixClient<RegistrationMethods>({
      socketPath: path,
      proto: 'deviceplugin-v1beta1',
      service: 'v1beta1.Registration',
      services: this.#services,
    });
    await client.connect(registerTimeoutMs, signal);
    const request = {
      version: 'v1beta1',
      endpoint: this.#socketName,
      resourceName: this.#options.resource,
      options: this.#pluginOptions(),
    };
    await client.call('register', request, registerTimeoutMs, signal);
  }

  async #listen(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    const { service: definition } = await this.#services.load('deviceplugin-v1beta1', 'v1beta1.DevicePlugin');
    const methods = this.#methods();
    const streams = { listAndWatch: (call: ServedStream) => this.#open(call) };
    const path = join(this.#folder, this.#socketName);
    this.#server = await UnixServer.listen(path, [{ definition, methods, streams }], 0o750);
  }

  #methods(): Record<string, (request: object) => Promise<object>> {
    const plugin = this.#plugin;
    return {
      getDevicePluginOptions: async () => await Promise.resolve(this.#pluginOptions()),
      allocate: async (request: AllocateRequest) => ({
        containerResponses: await Promise.all(
          (request.containerRequests ?? []).map(async (container) => await plugin.allocate(container.devicesIds ?? [])),
        ),
      }),
      getPreferredAllocation: async (request: PreferredAllocationRequest) => ({
        containerResponses: await Promise.all(
          (request.containerRequests ?? []).map(async (container) => ({
            deviceIDs: await plugin.preferred?.({
              available: container.availableDeviceIDs ?? [],
              mustInclude: container.mustIncludeDeviceIDs ?? [],
              size: container.allocationSize ?? 0,
            }),
          })),
        ),
      }),
      preStartContainer: async (request: PreStartContainerRequest) => {
        await plugin.preStart?.(request.devicesIds ?? []);
        return {};
      },
    };
  }

  #pluginOptions(): { preStartRequired: boolean; getPreferredAllocationAvailable: boolean } {
    return {
      preStartRequired: this.#plugin.preStart !== undefined,
      getPreferredAllocationAvailable: this.#plugin.preferred !== undefined,
    };
  }

  #open(call: ServedStream): void {
    this.#streams.add(call);
    const gone = (): void => void this.#streams.delete(call);
    call.on('cancelled', gone);
    call.on('close', gone);
    call.on('error', gone);
    call.write(this.#list());
  }

  #list(): object {
    return {
      devices: this.#devices.map((device) => ({
        ID: device.id,
        health: device.healthy ? 'Healthy' : 'Unhealthy',
        topology: device.numaNodes.length === 0 ? null : { nodes: device.numaNodes.map((ID) => ({ ID })) },
      })),
    };
  }

  #say(line: string): void {
    this.#options.log?.(line);
  }
}

/** Tells one socket from another that took its place; undefined when there is none. */
async function identity(path: string): Promise<string | undefined> {
  try {
    const { ino, ctimeMs } = await stat(path);
    return `${ino} ${ctimeMs}`;
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return undefined;
    throw err;
  }
}
