import type { CriRuntime, v1 } from '../../cri/index.js';
import type { Clock } from '../../base/clock.js';
import { linkSignal } from '../../base/signals.js';
import type { NodeStatus, ResourceList } from '../api/index.js';
import type { PressureCondition } from '../eviction/index.js';
import type { HostFacts } from './host-facts.js';
import { nodeConditions, type Readiness } from './node-conditions.js';
import { nodeImages } from './node-images.js';

export interface FullNodeStatusOptions {
  readonly nodeName: string;
  readonly kubeletVersion: string;
  readonly kubeletPort: number;
  /** nodeStatusMaxImages. */
  readonly maxImages: number;
}

export interface FullNodeStatusDeps {
  readonly clock: Clock;
  readonly host: HostFacts;
  readonly runtime: CriRuntime;
  /** With what device plugins offer; a resource that is gone has 0. */
  capacity(): ResourceList;
  allocatable(): ResourceList;
  pressures(): ReadonlySet<PressureCondition>;
  readiness(): Readiness;
}

interface RuntimeSays {
  readonly images: v1.ListImagesResponse;
  readonly status: v1.StatusResponse;
}

const runtimeAnswerMs = 10_000;

/** Everything of the node's status that is this machine's to tell (facts 10.2). */
export class FullNodeStatus {
  readonly #options: FullNodeStatusOptions;
  readonly #deps: FullNodeStatusDeps;
  readonly #listeners = new Set<() => void>();
  #version: string | undefined;
  #runtimeSays: RuntimeSays = { images: {}, status: {} };

  constructor(options: FullNodeStatusOptions, deps: FullNodeStatusDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  async read(previous: NodeStatus | undefined, signal: AbortSignal): Promise<NodeStatus> {
    const { clock, host } = this.#deps;
    const { nodeName, kubeletPort, maxImages } = this.#options;
    const { images, status } = await this.#askRuntime(signal);
    return {
      addresses: [
        ...host.addresses.map((address) => ({ type: 'InternalIP', address })),
        { type: 'Hostname', address: nodeName },
      ],
      capacity: this.#deps.capacity(),
      allocatable: this.#deps.allocatable(),
      conditions: nodeConditions(
        this.#deps.pressures(),
        this.#deps.readiness(),
        previous?.conditions ?? [],
        clock.now(),
      ),
      daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } },
      nodeInfo: this.#nodeInfo(),
      images: nodeImages(images.images ?? [], maxImages),
      runtimeHandlers: runtimeHandlers(status),
      features: { supplementalGroupsPolicy: status.features?.supplementalGroupsPolicy ?? false },
    };
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Something that must not wait for the next round changed. */
  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  #nodeInfo(): NonNullable<NodeStatus['nodeInfo']> {
    const { host } = this.#deps;
    return {
      architecture: host.architecture,
      bootID: host.bootId,
      containerRuntimeVersion: this.#version ?? '',
      kernelVersion: host.kernel,
      kubeProxyVersion: '',
      kubeletVersion: this.#options.kubeletVersion,
      machineID: host.machineId,
      operatingSystem: 'linux',
      osImage: host.osImage,
      systemUUID: host.systemUuid,
      ...(host.swapBytes ? { swap: { capacity: host.swapBytes } } : {}),
    };
  }

  /** A runtime that is away keeps nothing from being told, least of all that it is away: what it said last holds on. */
  async #askRuntime(signal: AbortSignal): Promise<RuntimeSays> {
    if (!this.#deps.readiness().runtime.ready) return this.#runtimeSays;
    const { images, runtime } = this.#deps.runtime;
    using limit = linkSignal(signal, { timeoutMs: runtimeAnswerMs, what: 'the images and the status of the runtime' });
    try {
      const [listed, status] = await Promise.all([
        images.listImages({}, limit.signal),
        runtime.status({}, limit.signal),
        this.#readVersion(limit.signal),
      ]);
      this.#runtimeSays = { images: listed, status };
    } catch {
      signal.throwIfAborted();
    }
    return this.#runtimeSays;
  }

  async #readVersion(signal: AbortSignal): Promise<void> {
    if (this.#version !== undefined) return;
    const { runtimeName, runtimeVersion } = await this.#deps.runtime.runtime.version({ version: 'v1' }, signal);
    this.#version = `${runtimeName}://${runtimeVersion}`;
  }
}

function runtimeHandlers({ runtimeHandlers }: v1.StatusResponse): NonNullable<NodeStatus['runtimeHandlers']> {
  return (runtimeHandlers ?? [])
    .map(({ name = '', features }) => ({
      name,
      features: {
        recursiveReadOnlyMounts: features?.recursiveReadOnlyMounts ?? false,
        userNamespaces: features?.userNamespaces ?? false,
      },
    }))
    .sort((a, b) => a.name.localeCompare(b.name));
}
