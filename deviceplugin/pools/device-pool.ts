import { stat } from 'node:fs/promises';
import { watch, type FSWatcher } from 'node:fs';
import { basename } from 'node:path';
import { errnoOf } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { ContainerAllocateResponse } from '../../proto/generated/deviceplugin-v1beta1.js';
import { DevicePluginError } from '../device-plugin-error.js';
import type { CallSubject } from '../../base/call-recorder.js';
import type { Device } from '../devices/device.js';
import type { DeviceEndpoint, EndpointEvents, EndpointOptions } from '../devices/endpoint.js';
import { findDevices, type FoundDevices } from './find-devices.js';
import type { DevicePoolConfig } from './pool-config.js';

export interface DevicePoolDeps {
  readonly log: Logger;
  /** Default `/sys`. */
  readonly sysfs?: string | undefined;
}

/** Changes within this long are one look. */
const settleMs = 20;

/** Separates the path from the number of a share in a device's id. */
const shareMark = '#';

/** Host devices as a resource: looked up by their paths, and again whenever one of the folders changes. */
export class DevicePool implements DeviceEndpoint {
  readonly resource: string;
  readonly socketPath = undefined;
  readonly options: EndpointOptions = { preStartRequired: false, hasPreference: false };
  readonly #config: DevicePoolConfig;
  readonly #deps: DevicePoolDeps;
  readonly #watchers = new Map<string, FSWatcher>();
  #events: EndpointEvents | undefined;
  #settle: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  #first: FoundDevices;
  #closed = false;

  private constructor(config: DevicePoolConfig, deps: DevicePoolDeps, first: FoundDevices) {
    this.resource = config.resource;
    this.#config = config;
    this.#deps = deps;
    this.#first = first;
  }

  static async open(config: DevicePoolConfig, deps: DevicePoolDeps): Promise<DevicePool> {
    return new DevicePool(config, deps, await findDevices(config.paths, deps.sysfs ?? '/sys'));
  }

  watch(events: EndpointEvents): void {
    this.#events = events;
    this.#report(this.#first);
  }

  async preferred(): Promise<readonly string[]> {
    return await Promise.resolve([]);
  }

  async allocate(
    ids: readonly string[],
    _subject: CallSubject,
    signal: AbortSignal,
  ): Promise<ContainerAllocateResponse> {
    signal.throwIfAborted();
    const paths = [...new Set(ids.map((id) => id.split(shareMark)[0] ?? id))];
    for (const path of paths) await this.#mustBeThere(path);
    const permissions = this.#config.permissions ?? 'rw';
    return {
      devices: paths.map((path) => ({ hostPath: path, containerPath: path, permissions })),
      envs: {},
      mounts: [],
      annotations: {},
      cdiDevices: [],
    };
  }

  async preStart(): Promise<void> {
    await Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#settle);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
    await this.#looking;
  }

  async #mustBeThere(path: string): Promise<void> {
    try {
      await stat(path);
    } catch (err) {
      const words = `${path} is not there any more (${errnoOf(err) ?? String(err)})`;
      throw new DevicePluginError(
        `allocate ${this.resource}: ${words}`,
        { code: 'plugin-refused', resource: this.resource, verb: 'Allocate', words },
        { cause: err },
      );
    }
  }

  #report(found: FoundDevices): void {
    this.#watchOnly(found.folders);
    const devices = found.devices.flatMap(({ path, numaNodes }) =>
      this.#idsOf(path).map((id): Device => ({ id, healthy: true, numaNodes })),
    );
    this.#events?.devices(new Map(devices.map((device) => [device.id, device])));
  }

  #idsOf(path: string): readonly string[] {
    const { share = 1 } = this.#config;
    return share === 1 ? [path] : Array.from({ length: share }, (_, at) => `${path}${shareMark}${at}`);
  }

  #watchOnly(folders: ReadonlySet<string>): void {
    for (const [folder, watcher] of this.#watchers) {
      if (folders.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    const unwatched = [...folders].filter((folder) => !this.#watchers.has(folder));
    for (const folder of unwatched) this.#watchFolder(folder);
    // What changed between the look and the watch.
    if (unwatched.some((folder) => this.#watchers.has(folder))) this.#lookSoon();
  }

  #watchFolder(folder: string): void {
    try {
      const watcher = watch(folder, (event, name) => {
        // Older kernels tell of every write to a node in /dev too, as `change`.
        if (event !== 'rename') return;
        // The folder itself went; one made again under the name needs a new watch.
        if (name === basename(folder)) this.#forget(folder, watcher);
        this.#lookSoon();
      });
      watcher.on('error', () => this.#lookSoon());
      this.#watchers.set(folder, watcher);
    } catch (err) {
      this.#deps.log.warn({ err, folder, resource: this.resource }, 'no watch for device nodes, hot-plug is not seen');
    }
  }

  #forget(folder: string, watcher: FSWatcher): void {
    watcher.close();
    if (this.#watchers.get(folder) === watcher) this.#watchers.delete(folder);
  }

  #lookSoon(): void {
    if (this.#closed || this.#settle !== undefined) return;
    this.#settle = setTimeout(() => {
      this.#settle = undefined;
      this.#looking = this.#looking.then(() => this.#look());
    }, settleMs);
  }

  async #look(): Promise<void> {
    try {
      const found = await findDevices(this.#config.paths, this.#deps.sysfs ?? '/sys');
      if (!this.#closed) this.#report(found);
    } catch (err) {
      this.#deps.log.warn({ err, resource: this.resource }, 'device nodes cannot be listed');
    }
  }
}
