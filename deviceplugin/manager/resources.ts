import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import { isAbortOf } from '../../base/signals.js';
import { changedDevices, healthyCount, type DeviceList } from '../devices/device.js';
import type { DeviceEndpoint } from '../devices/endpoint.js';
import { isGone, newEntry, type ResourceEntry, type ResourceState } from '../devices/resource-table.js';

export interface ResourceChange {
  readonly resource: string;
  /** Devices whose health is another now, as far as anybody can tell. */
  readonly devices: ReadonlySet<string>;
  /** Capacity, allocatable, or whether devices can be handed out at all. */
  readonly capacity: boolean;
}

export interface ResourcesDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Called in the same turn in which the news came. */
  readonly onChange: (change: ResourceChange) => void;
}

/** All resources this node knows devices of, each with its newest endpoint. */
export class Resources implements AsyncDisposable {
  readonly #graceMs: number;
  readonly #deps: ResourcesDeps;
  readonly #entries = new Map<string, ResourceEntry>();
  readonly #life = new AbortController();

  constructor(options: { readonly graceMs: number }, deps: ResourcesDeps) {
    this.#graceMs = options.graceMs;
    this.#deps = deps;
  }

  get(resource: string): ResourceEntry | undefined {
    return this.#entries.get(resource);
  }

  all(): readonly ResourceEntry[] {
    return [...this.#entries.values()];
  }

  /** A resource of the checkpoint: its plugin is expected back. */
  expect(resource: string, preStartRequired: boolean): void {
    const since = this.#deps.clock.now();
    this.#entries.set(resource, { ...newEntry(resource, { kind: 'awaited', since }), preStartRequired });
    this.#noteWhenGone(resource, since);
  }

  /** Takes an endpoint into use; an older one of the same resource is let go. */
  adopt(endpoint: DeviceEndpoint): void {
    const { resource } = endpoint;
    const old = this.#entries.get(resource);
    const listing = { kind: 'listing', since: this.#deps.clock.now() } as const;
    // The old devices count on until the new plugin lists its own: the node's capacity does not flicker.
    const entry = old ?? newEntry(resource, listing);
    const state = entry.state.kind === 'ready' ? entry.state : listing;
    this.#entries.set(resource, {
      ...entry,
      state,
      endpoint,
      preStartRequired: endpoint.options.preStartRequired,
    });
    if (old?.endpoint !== undefined) this.#letGo(old.endpoint);
    endpoint.watch({
      devices: (devices) => this.#onDevices(endpoint, devices),
      stopped: (reason) => this.#onStopped(endpoint, reason),
    });
  }

  /** The plugin said good-bye. Does nothing when another endpoint has taken over. */
  drop(endpoint: DeviceEndpoint, reason: string): void {
    const entry = this.#entries.get(endpoint.resource);
    if (entry?.endpoint !== endpoint) return;
    this.#onStopped(endpoint, reason);
    const now = this.#entries.get(endpoint.resource);
    if (now !== undefined) this.#entries.set(endpoint.resource, { ...now, endpoint: undefined });
    this.#letGo(endpoint);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#life.abort();
    const endpoints = this.all().flatMap((entry) => (entry.endpoint === undefined ? [] : [entry.endpoint]));
    await Promise.all(endpoints.map((endpoint) => endpoint[Symbol.asyncDispose]()));
  }

  #onDevices(endpoint: DeviceEndpoint, devices: DeviceList): void {
    const entry = this.#entries.get(endpoint.resource);
    if (entry?.endpoint !== endpoint) return;
    const wasReady = entry.state.kind === 'ready';
    this.#entries.set(endpoint.resource, {
      ...entry,
      state: { kind: 'ready' },
      devices,
      preStartRequired: endpoint.options.preStartRequired,
    });
    const changed = wasReady
      ? changedDevices(entry.devices, devices)
      : new Set([...entry.devices.keys(), ...devices.keys()]);
    const capacity =
      !wasReady || entry.devices.size !== devices.size || healthyCount(entry.devices) !== healthyCount(devices);
    if (changed.size > 0 || capacity) {
      this.#deps.onChange({ resource: endpoint.resource, devices: changed, capacity });
    }
  }

  #onStopped(endpoint: DeviceEndpoint, reason: string): void {
    const entry = this.#entries.get(endpoint.resource);
    if (entry?.endpoint !== endpoint) return;
    // The grace runs from the first stop: a plugin that answers and breaks again is away all the time.
    const since = entry.state.kind === 'stopped' ? entry.state.since : this.#deps.clock.now();
    const state: ResourceState = { kind: 'stopped', since, reason };
    this.#entries.set(endpoint.resource, { ...entry, state });
    if (entry.state.kind === 'stopped') return;
    this.#noteWhenGone(endpoint.resource, since);
    this.#deps.onChange({
      resource: endpoint.resource,
      devices: new Set(entry.devices.keys()),
      capacity: true,
    });
  }

  /** Capacity falls to 0 when the grace is over, without anything else happening then. */
  #noteWhenGone(resource: string, since: number): void {
    const { clock, log, onChange } = this.#deps;
    const later = async (): Promise<void> => {
      // A timer may end a moment before the clock says so.
      for (let leftMs = this.#graceMs; leftMs > 0; leftMs = since + this.#graceMs - clock.now())
        await clock.sleep(leftMs, this.#life.signal);
      const state = this.#entries.get(resource)?.state;
      const same = (state?.kind === 'stopped' || state?.kind === 'awaited') && state.since === since;
      if (!same || !isGone(state, clock.now(), this.#graceMs)) return;
      log.warn({ resource, graceMs: this.#graceMs }, 'device plugin stayed away, its capacity is 0 now');
      onChange({ resource, devices: new Set(), capacity: true });
    };
    later().catch((err: unknown) => {
      if (!isAbortOf(err, this.#life.signal)) log.error({ err, resource }, 'waiting for a device plugin failed');
    });
  }

  #letGo(endpoint: DeviceEndpoint): void {
    const close = async (): Promise<void> => await endpoint[Symbol.asyncDispose]();
    close().catch((err: unknown) => {
      this.#deps.log.warn({ err, resource: endpoint.resource }, 'device plugin connection could not be closed');
    });
  }
}
