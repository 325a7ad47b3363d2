import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noRecorder, type CallRecorder, type PluginCall } from '../../base/call-recorder.js';
import { systemClock, type Clock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import {
  DeviceManager,
  DevicePluginError,
  type ContainerKind,
  type ContainerRequest,
  type DeviceManagerOptions,
  type PodAdmission,
  type ResourceStatus,
} from '../../deviceplugin/index.js';
import { UnixClient } from '../../proto/wire/index.js';
import { UnixServer, type ServedStream } from '../../deviceplugin/wire/unix-server.js';
import type { RegistrationMethods } from '../../proto/generated/deviceplugin-v1beta1.js';
import { serviceDefinition } from '../../proto/load.js';

export interface CheckpointText {
  readonly Data: Readonly<Record<string, unknown>>;
  readonly Checksum: number;
  readonly Berth: { readonly Data: Readonly<Record<string, unknown>> };
}

export const signal = new AbortController().signal;
export const gpu = 'example.com/gpu';
/** What a plugin on `p.sock` says of itself. */
export const register = { endpoint: 'p.sock', resourceName: gpu };
export const never = (): Promise<never> => new Promise(() => {});

export async function failureOf(promise: Promise<unknown>): Promise<DevicePluginError> {
  const err = await promise.then(
    (value) => new Error(`it succeeded: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (err instanceof DevicePluginError) return err;
  throw err;
}

/** Resolves with the first value that is not undefined or false. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 60_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  while (true) {
    const value = await look();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`wait for ${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A root folder of its own and every manager and plugin made on it; all goes when it is disposed. */
export class DeviceWorld implements AsyncDisposable {
  readonly root: string;
  readonly calls: PluginCall[] = [];
  readonly #made: AsyncDisposable[] = [];

  private constructor(root: string) {
    this.root = root;
  }

  static async open(): Promise<DeviceWorld> {
    return new DeviceWorld(await mkdtemp(join(tmpdir(), 'berth-dp-')));
  }

  get plugins(): string {
    return join(this.root, 'device-plugins');
  }

  get checkpoint(): string {
    return join(this.plugins, 'kubelet_internal_checkpoint');
  }

  async readCheckpoint(): Promise<CheckpointText> {
    return JSON.parse(await readFile(this.checkpoint, 'utf8')) as CheckpointText;
  }

  /** Another one on the same root is what follows a kill -9: the first is simply not heard any more. */
  async manager(options: Partial<DeviceManagerOptions> = {}, clock: Clock = systemClock): Promise<DeviceManager> {
    const recorder: CallRecorder = {
      begin: (call) => {
        this.calls.push(call);
        return noRecorder.begin(call);
      },
    };
    const manager = new DeviceManager(
      { root: this.root, numaNodes: [0, 1], retryMs: 50, ...options },
      { clock, recorder, log: silentLogger },
    );
    this.own(manager);
    await manager.start(signal);
    return manager;
  }

  own<T extends AsyncDisposable>(thing: T): T {
    this.#made.push(thing);
    return thing;
  }

  /** What a plugin's Register call gets back: undefined for success, else the words. */
  async register(request: RegistrationMethods['register']['request']): Promise<string | undefined> {
    using client = new UnixClient<RegistrationMethods>({
      socketPath: join(this.plugins, 'kubelet.sock'),
      proto: 'deviceplugin-v1beta1',
      service: 'v1beta1.Registration',
    });
    try {
      await client.call('register', { version: 'v1beta1', ...request }, 60_000, signal);
      return undefined;
    } catch (err) {
      return err instanceof Error ? err.message : String(err);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const thing of this.#made.toReversed()) await thing[Symbol.asyncDispose]();
    await rm(this.root, { recursive: true, force: true });
  }
}

export function statusOf(manager: DeviceManager, resource = gpu): ResourceStatus | undefined {
  return manager.status().find((status) => status.resource === resource);
}

export async function ready(manager: DeviceManager, resource = gpu): Promise<ResourceStatus> {
  return await eventually(`${resource} to be ready`, () => {
    const status = statusOf(manager, resource);
    return status?.state === 'ready' && status.allocatable > 0 ? status : undefined;
  });
}

export const container = (
  name: string,
  count: number,
  kind: ContainerKind = 'regular',
  resource = gpu,
): ContainerRequest => ({ name, kind, limits: { [resource]: count } });

export const pod = (uid: string, ...containers: ContainerRequest[]): PodAdmission => ({
  uid,
  namespace: 'default',
  name: uid,
  containers,
});

export interface RawPluginParts {
  readonly options?: object;
  readonly devices?: readonly object[];
  readonly allocate?: (request: object) => Promise<object>;
  readonly preStart?: (request: object) => Promise<object>;
  readonly getOptions?: () => Promise<object>;
  readonly list?: (call: ServedStream) => void;
}

export const healthy = (...ids: string[]): object[] => ids.map((ID) => ({ ID, health: 'Healthy', topology: null }));

/** A plugin that behaves as a test wants, in this process. */
export async function rawPlugin(world: DeviceWorld, name: string, parts: RawPluginParts): Promise<UnixServer> {
  const unused = async (): Promise<object> => await Promise.resolve({});
  return world.own(
    await UnixServer.listen(
      join(world.plugins, name),
      [
        {
          definition: serviceDefinition('deviceplugin-v1beta1', 'v1beta1.DevicePlugin'),
          methods: {
            getDevicePluginOptions: parts.getOptions ?? (async () => await Promise.resolve(parts.options ?? {})),
            allocate: parts.allocate ?? (async () => await Promise.resolve({ containerResponses: [{}] })),
            preStartContainer: parts.preStart ?? unused,
            getPreferredAllocation: unused,
          },
          streams: { listAndWatch: parts.list ?? ((call) => call.write({ devices: parts.devices ?? [] })) },
        },
      ],
      0o750,
    ),
  );
}
