import { join } from 'node:path';
import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import { KeyedLock } from '../../base/fifo-limit.js';
import type { Logger } from '../../base/log.js';
import { WireServices } from '../../proto/wire/index.js';
import { allocatePod } from '../allocation/allocate-pod.js';
import type { AllocateResult, PodAdmission } from '../allocation/admission.js';
import { mergeResponses, type ContainerDeviceOptions } from '../allocation/container-options.js';
import { CheckpointFile } from '../checkpoint/checkpoint-file.js';
import type { CheckpointData } from '../checkpoint/checkpoint-format.js';
import { responseCodec, type ResponseCodec } from '../checkpoint/response-codec.js';
import { DevicePluginError } from '../device-plugin-error.js';
import { grantedIds, Grants } from '../devices/grants.js';
import {
  awayReason,
  capacityOf,
  isGone,
  type ResourceCapacity,
  type ResourceState,
} from '../devices/resource-table.js';
import type { PluginHandler } from '../plugin-handler.js';
import { defaultTimeouts, type PluginTimeouts } from '../plugin/plugin-calls.js';
import { DevicePool } from '../pools/device-pool.js';
import { checkPools, type DevicePoolConfig } from '../pools/pool-config.js';
import { containerHealth, type AllocatedResourceStatus } from './device-health.js';
import { LostHolders } from './lost-holders.js';
import { containerHints, podHints, type HintDeps, type HintsByResource } from './manager-hints.js';
import { pluginFolder, wipeSockets } from './plugin-folder.js';
import { PluginIntake } from './plugin-intake.js';
import { Resources, type ResourceChange } from './resources.js';
import { untilListed } from './until-listed.js';

export interface DeviceManagerOptions {
  /** `/var/lib/kubelet`. */
  readonly root: string;
  /** The NUMA nodes of the machine. */
  readonly numaNodes: readonly number[];
  readonly pools?: readonly DevicePoolConfig[] | undefined;
  /** How long a plugin that went may come back before its capacity is 0 and pods stop waiting for it. Default 5 min. */
  readonly graceMs?: number | undefined;
  /** The first pause before a plugin whose stream broke is asked again. Default 1 s. */
  readonly retryMs?: number | undefined;
  readonly timeouts?: Partial<PluginTimeouts> | undefined;
  /** How long the start waits for plugins that live on to list their devices again. Default 1 s. */
  readonly reconnectMs?: number | undefined;
  /** How long nothing is handed out after a checkpoint was lost, until pods that run were asked for. Default 10 s. */
  readonly settleMs?: number | undefined;
}

export interface DeviceManagerDeps {
  readonly clock: Clock;
  readonly recorder: CallRecorder;
  readonly log: Logger;
}

/** Something about devices is different now. Comes in the turn in which the plugin's message came. */
export interface DeviceChange {
  /** Empty where it may be any. */
  readonly resource: string;
  /** Pods that hold a device whose health is another now: their status is to be written. */
  readonly podUids: readonly string[];
  /** The node's capacity or allocatable is another, or waiting pods may be asked again. */
  readonly capacity: boolean;
}

/** One resource, for `berth plugins`. */
export interface ResourceStatus extends ResourceCapacity {
  readonly state: ResourceState['kind'] | 'gone';
  /** Why devices cannot be handed out. */
  readonly reason?: string | undefined;
  readonly socketPath?: string | undefined;
  readonly inUse: number;
}

export interface ContainerDevice {
  readonly resource: string;
  readonly id: string;
  readonly numaNodes: readonly number[];
}

const checkpointName = 'kubelet_internal_checkpoint';

/**
 * Device plugins, device pools, and who holds which device. Every state it needs is in its checkpoint: a new one on the
 * same root goes on where a killed one was.
 */
export class DeviceManager implements AsyncDisposable {
  readonly #options: DeviceManagerOptions;
  readonly #deps: DeviceManagerDeps;
  readonly #graceMs: number;
  readonly #resources: Resources;
  readonly #services = new WireServices();
  readonly #grants = new Grants();
  readonly #locks = new KeyedLock();
  readonly #listeners = new Set<(change: DeviceChange) => void>();
  readonly #intake: PluginIntake;
  readonly #notes: string[] = [];
  /** Since when the connection to a plugin breaks whenever it is asked for this pod. */
  readonly #brokenOff = new Map<string, number>();
  #checkpoint: CheckpointFile | undefined;
  /** Set when the checkpoint could not be read, nor its copy. */
  #lost: LostHolders | undefined;
  readonly #life = new AbortController();
  #closed = false;
  #checkpointMissing = false;

  /** Throws `DevicePluginError` when the pools cannot be offered. */
  constructor(options: DeviceManagerOptions, deps: DeviceManagerDeps) {
    checkPools(options.pools ?? []);
    this.#options = options;
    this.#deps = deps;
    this.#graceMs = options.graceMs ?? 300_000;
    this.#resources = new Resources(
      { graceMs: this.#graceMs },
      { clock: deps.clock, log: deps.log, onChange: (change) => this.#onChange(change) },
    );
    this.#intake = new PluginIntake(
      {
        folder: pluginFolder(options.root),
        timeouts: { ...defaultTimeouts, ...options.timeouts },
        graceMs: this.#graceMs,
        retryMs: options.retryMs ?? 1000,
        poolResources: new Set((options.pools ?? []).map((pool) => pool.resource)),
      },
      { ...deps, resources: this.#resources, services: this.#services, onRemembered: () => this.#saveSoon() },
    );
  }

  /**
   * Reads the checkpoint, opens the registration socket anew and offers the pools. Plugins that live on are dialled, and waited for a
   * moment: who looks next sees the devices that were there before, and not none of them.
   */
  async start(signal: AbortSignal): Promise<void> {
    const folder = pluginFolder(this.#options.root);
    await this.#readCheckpoint(folder);
    const alive = await this.#intake.alive(signal);
    await wipeSockets(folder, new Set(alive.values()));
    for (const pool of this.#options.pools ?? []) {
      this.#resources.adopt(await DevicePool.open(pool, { log: this.#deps.log }));
    }
    await this.#intake.serve();
    await untilListed(this.#intake.reconnect(alive), this, this.#options.reconnectMs ?? 1000, signal);
  }

  /** For the watcher of the plugin registration folder, type `DevicePlugin`. */
  get handler(): PluginHandler {
    return this.#intake.handler;
  }

  /** The registration socket is served: the health check `device-plugin`. */
  get serving(): boolean {
    return this.#intake.serving;
  }

  /** There was no checkpoint: the machine was made anew, and what the Node object says of extended resources is stale. */
  get checkpointMissing(): boolean {
    return this.#checkpointMissing;
  }

  /** What a person should know about the checkpoint; empty when all is well. */
  get notes(): readonly string[] {
    return this.#notes;
  }

  /** Capacity and allocatable of every resource that is or was here. */
  capacity(): readonly ResourceCapacity[] {
    const now = this.#deps.clock.now();
    return this.#resources.all().map((entry) => capacityOf(entry, now, this.#graceMs));
  }

  status(): readonly ResourceStatus[] {
    const now = this.#deps.clock.now();
    return this.#resources.all().map((entry) => ({
      ...capacityOf(entry, now, this.#graceMs),
      state: isGone(entry.state, now, this.#graceMs) ? 'gone' : entry.state.kind,
      reason: awayReason(entry),
      socketPath: entry.endpoint?.socketPath,
      inUse: this.#grants.inUse(entry.resource).size,
    }));
  }

  /**
   * Devices for all containers of a pod at its admission. Rejects with `DevicePluginError` when the pod cannot have them
   * (`UnexpectedAdmissionError`, the message holds the plugin's words); nothing of this call is held then. May be repeated.
   */
  async allocate(pod: PodAdmission, signal: AbortSignal): Promise<AllocateResult> {
    this.#lost?.note(pod, (name, resource) => this.#grants.get(pod.uid, name, resource) !== undefined);
    const wait = this.#lost?.wait(pod, this.#deps.clock.now());
    if (wait !== undefined) return wait;
    const deps = {
      graceMs: this.#graceMs,
      now: () => this.#deps.clock.now(),
      entry: (resource: string) => this.#resources.get(resource),
      grants: this.#grants,
      save: () => this.#mustSave(),
    };
    try {
      const result = await this.#locks.run(pod.uid, () => allocatePod(pod, deps, signal), signal);
      if (result.kind === 'allocated') this.#brokenOff.delete(pod.uid);
      return result;
    } catch (err) {
      return this.#waitWhenBrokenOff(pod.uid, err);
    }
  }

  /**
   * Hints for the topology manager for one container, by resource: undefined for no preference, an empty list when the
   * request cannot be served.
   */
  topologyHints(pod: PodAdmission, container: string): HintsByResource {
    return containerHints(pod, container, this.#hintDeps);
  }

  /** The same for a pod as a whole, before any of its devices is chosen. */
  podTopologyHints(pod: PodAdmission): HintsByResource {
    return podHints(pod, this.#hintDeps);
  }

  /** What a container gets for its devices; undefined when it holds none. */
  containerOptions(podUid: string, container: string): ContainerDeviceOptions | undefined {
    return mergeResponses(this.#grants.ofContainer(podUid, container));
  }

  /**
   * To be called before every start of a container; asks only the plugins that want it. Rejects with `DevicePluginError`
   * (`PreStartHookError`).
   */
  async preStart(
    pod: { readonly uid: string; readonly namespace: string; readonly name: string },
    container: string,
    signal: AbortSignal,
  ): Promise<void> {
    this.#lost?.checkStart(pod.uid, container);
    for (const grant of this.#grants.ofContainer(pod.uid, container)) {
      const { resource } = grant;
      const entry = this.#resources.get(resource);
      if (entry === undefined || !entry.preStartRequired) continue;
      if (entry.endpoint === undefined) {
        const why = awayReason(entry) ?? 'its device plugin left';
        throw new DevicePluginError(`prepare ${resource} for the start of container ${container}: ${why}`, {
          code: 'plugin-absent',
          resource,
        });
      }
      const subject = { podUid: pod.uid, podNamespace: pod.namespace, podName: pod.name, container };
      await entry.endpoint.preStart(grantedIds(grant), subject, signal);
    }
  }

  /** The health of a container's devices, for its status. */
  containerHealth(podUid: string, container: string): readonly AllocatedResourceStatus[] {
    return containerHealth(podUid, container, this.#grants, (resource) => this.#resources.get(resource));
  }

  /** The devices a container holds, for the pod resources API. */
  devicesOf(podUid: string, container: string): readonly ContainerDevice[] {
    return this.#grants.ofContainer(podUid, container).flatMap((grant) =>
      grantedIds(grant).map((id) => ({
        resource: grant.resource,
        id,
        numaNodes: [...grant.byNuma].flatMap(([node, ids]) => (node >= 0 && ids.includes(id) ? [node] : [])),
      })),
    );
  }

  /** All healthy devices, held or not, for the pod resources API. */
  allocatableDevices(): readonly ContainerDevice[] {
    return this.#resources
      .all()
      .flatMap(({ resource, state, devices }) =>
        state.kind !== 'ready'
          ? []
          : [...devices.values()]
              .filter((device) => device.healthy)
              .map(({ id, numaNodes }) => ({ resource, id, numaNodes })),
      );
  }

  holds(podUid: string): boolean {
    return this.#grants.ofPod(podUid).length > 0;
  }

  /** The pods that hold something. */
  holders(): readonly string[] {
    return [...new Set([...this.#grants.podUids(), ...(this.#lost?.podUids ?? [])])];
  }

  /** Releases what pods hold that are not in the list. Call it only when every pod source has delivered. */
  async retainOnly(podUids: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    for (const uid of this.#brokenOff.keys()) if (!podUids.has(uid)) this.#brokenOff.delete(uid);
    await this.#release(
      this.holders().filter((uid) => !podUids.has(uid)),
      signal,
    );
  }

  /** Releases what one pod holds, when nothing of it runs any more. Succeeds when it holds nothing. */
  async release(podUid: string, signal: AbortSignal): Promise<void> {
    this.#brokenOff.delete(podUid);
    await this.#release([podUid], signal);
  }

  /** The listener must not throw and must not take long. */
  subscribe(listener: (change: DeviceChange) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#life.abort();
    await this.#intake[Symbol.asyncDispose]();
    await this.#resources[Symbol.asyncDispose]();
    await this.#checkpoint?.idle();
  }

  get #hintDeps(): HintDeps {
    const { numaNodes } = this.#options;
    return { numaNodes, grants: this.#grants, entry: (resource) => this.#resources.get(resource) };
  }

  async #release(podUids: readonly string[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const unnamed = podUids.flatMap((uid) => this.#lost?.release(uid) ?? []);
    const released = podUids.flatMap((uid) => this.#grants.deletePod(uid));
    if (released.length > 0) await this.#mustSave();
    for (const resource of new Set([...unnamed, ...released.map((grant) => grant.resource)])) {
      this.#tell({ resource, podUids: [], capacity: true });
    }
  }

  /** A plugin that dies or is updated while it is asked is away like any other: the pod waits, within the same grace. */
  #waitWhenBrokenOff(podUid: string, err: unknown): AllocateResult {
    if (!(err instanceof DevicePluginError) || err.failure.code !== 'plugin-unreachable') throw err;
    const since = this.#brokenOff.get(podUid) ?? this.#deps.clock.now();
    this.#brokenOff.set(podUid, since);
    const until = since + this.#graceMs;
    if (this.#deps.clock.now() >= until) throw err;
    return { kind: 'wait', resource: err.failure.resource, until, reason: err.message };
  }

  async #readCheckpoint(folder: string): Promise<void> {
    let loading: Promise<ResponseCodec> | undefined;
    const codec = (): Promise<ResponseCodec> => (loading ??= loadCodec(this.#services));
    this.#checkpoint = new CheckpointFile(join(folder, checkpointName), codec, () => this.#snapshot());
    const read = await this.#checkpoint.read(this.#deps.clock.now());
    const { log } = this.#deps;
    if (read.kind === 'missing') {
      this.#checkpointMissing = true;
      return;
    }
    if (read.kind === 'set-aside') {
      this.#notes.push(`the device checkpoint was unreadable (${read.reason}) and is now ${read.movedTo}`);
      log.error({ reason: read.reason, movedTo: read.movedTo }, 'device checkpoint set aside, starting without');
      this.#loseHolders();
      return;
    }
    if (read.kind === 'copy') {
      this.#notes.push(
        `the device checkpoint was unreadable (${read.reason}) and is now ${read.movedTo}; its copy was read`,
      );
      log.error({ reason: read.reason, movedTo: read.movedTo }, 'device checkpoint set aside, its copy was read');
    }
    this.#notes.push(...read.notes.map((note) => `device checkpoint: ${note}`));
    if (read.notes.length > 0) log.warn({ notes: read.notes }, 'device checkpoint read with reservations');
    for (const grant of read.data.grants) this.#grants.set(grant);
    for (const [resource, plugin] of read.data.plugins) this.#intake.remembered.set(resource, plugin);
    const known = new Set([...read.data.registered.keys(), ...read.data.grants.map((grant) => grant.resource)]);
    for (const resource of known) {
      this.#resources.expect(resource, read.data.plugins.get(resource)?.preStartRequired ?? false);
    }
  }

  /** Pods that run are asked for first; the others are asked again then. */
  #loseHolders(): void {
    const { clock } = this.#deps;
    const { settleMs = 10_000 } = this.#options;
    this.#lost = new LostHolders({ since: clock.now(), settleMs, graceMs: this.#graceMs });
    clock.sleep(settleMs, this.#life.signal).then(
      () => this.#tell({ resource: '', podUids: [], capacity: true }),
      () => {},
    );
  }

  #onChange(change: ResourceChange): void {
    this.#tell({
      resource: change.resource,
      podUids: this.#grants.holders(change.resource, change.devices),
      capacity: change.capacity,
    });
    this.#saveSoon();
  }

  #tell(change: DeviceChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  #snapshot(): CheckpointData {
    const now = this.#deps.clock.now();
    const there = this.#resources.all().filter((entry) => !isGone(entry.state, now, this.#graceMs));
    return {
      grants: this.#grants.all(),
      registered: new Map(
        there.map((entry) => [
          entry.resource,
          [...entry.devices.values()].filter((device) => device.healthy).map((device) => device.id),
        ]),
      ),
      plugins: new Map([...this.#intake.remembered].filter(([name]) => there.some((entry) => entry.resource === name))),
    };
  }

  async #mustSave(): Promise<void> {
    if (this.#checkpoint === undefined) throw new Error('the device manager was not started');
    try {
      await this.#checkpoint.save();
    } catch (err) {
      const { path } = this.#checkpoint;
      throw new DevicePluginError(
        `write the device checkpoint ${path}: ${errorText(err)}`,
        { code: 'checkpoint', path },
        { cause: err },
      );
    }
  }

  /** For what can be learnt again: a failure is only said. */
  #saveSoon(): void {
    if (this.#closed) return;
    this.#checkpoint?.save().catch((err: unknown) => {
      this.#deps.log.warn({ err }, 'device checkpoint could not be written');
    });
  }
}

async function loadCodec(services: WireServices): Promise<ResponseCodec> {
  return responseCodec((await services.load('deviceplugin-v1beta1', 'v1beta1.DevicePlugin')).service);
}
