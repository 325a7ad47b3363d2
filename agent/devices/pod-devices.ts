import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import {
  DevicePluginError,
  type ContainerDeviceOptions,
  type ContainerRequest,
  type DeviceManager,
  type DraManager,
  type HintsByResource,
} from '../../deviceplugin/index.js';
import { allContainers, podUidOf, type ResourceStatus, type Pod, type PodUid } from '../api/index.js';
import type { ContainerGrants } from '../containers/config-builder.js';
import type { EventRecorder } from '../events/event-recorder.js';
import { podReference } from '../events/references.js';
import type { GrantOutcome, PodGrants } from '../executors/executor-deps.js';
import { StepError } from '../executors/step-error.js';
import { TopologyError } from '../resources/topology/index.js';
import type { GrantWait } from '../podloop/pod-facts.js';
import type { DeviceCounts } from './device-counts.js';
import { claimingPod, claimsAnything, podAdmission } from './pod-admission.js';

/** What drivers of dynamic resource allocation prepare for pods. */
type ClaimedDevices = Pick<
  DraManager,
  'prepare' | 'unprepare' | 'holdsAny' | 'holders' | 'containerHealth' | 'cdiDevicesOf' | 'subscribe'
>;

export interface PodDevicesDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  /** Absent where devices are turned off. */
  readonly manager: DeviceManager | undefined;
  readonly dra: ClaimedDevices | undefined;
  readonly metrics: Pick<DeviceCounts, 'claimsHandled'>;
}

/** A pod that ends, and until when it may take; ms. */
export interface EndingPod {
  readonly pod: Pod;
  readonly until: number;
}

/** What pods are told of their devices: whom to wake, and who will soon give devices back. */
export interface PodDevicesUsers {
  wake(uid: PodUid): void;
  ending(): readonly EndingPod[];
  /**
   * Asked for each container just before its devices are chosen, when those of the containers before it are: the NUMA nodes it shall
   * use. A `TopologyError` refuses the pod.
   */
  affinity?(pod: Pod, container: string): readonly number[] | undefined;
}

export type DeviceHealth = ReadonlyMap<string, readonly ResourceStatus[]>;

const nothing: ContainerGrants = { devices: [], mounts: [], envs: {}, annotations: {}, cdiDevices: [] };
/** An ending pod that takes longer than its grace, for its volumes and hooks, is still waited for this long. */
const endingSlackMs = 30_000;

/**
 * Devices from the side of pods: asked for when a pod is prepared, given to its containers, watched over, given back. A pod that
 * cannot have them yet waits, and is woken when anything about devices changed.
 */
export class PodDevices implements PodGrants, Disposable {
  readonly #deps: PodDevicesDeps;
  readonly #waits = new Map<PodUid, GrantWait>();
  readonly #ignored = new Map<PodUid, string>();
  readonly #subscriptions: Disposable[] = [];
  #users: PodDevicesUsers | undefined;
  /** Counts changes: an answer from before the last one is out of date. */
  #changes = 0;

  constructor(deps: PodDevicesDeps) {
    this.#deps = deps;
    const { manager, dra } = deps;
    if (manager) {
      this.#subscriptions.push(
        manager.subscribe(({ podUids, capacity }) => {
          if (capacity) this.#askAgain();
          this.#wake(podUids as readonly PodUid[]);
        }),
      );
    }
    if (dra) this.#subscriptions.push(dra.subscribe((podUids) => this.#wake(podUids as readonly PodUid[])));
  }

  connect(users: PodDevicesUsers): void {
    this.#users = users;
  }

  async allocate(pod: Pod, running: ReadonlySet<string>, signal: AbortSignal): Promise<GrantOutcome> {
    const { manager } = this.#deps;
    const admission = manager && podAdmission(pod, running);
    if (!admission) return { kind: 'granted' };
    const request = { ...admission, affinity: ({ name }: ContainerRequest) => this.#users?.affinity?.(pod, name) };
    while (true) {
      const seen = this.#changes;
      const outcome = await this.#ask(manager, pod, request, signal);
      if (outcome.kind !== 'waiting' || seen === this.#changes) return outcome;
    }
  }

  /** Where the devices of a container, or of the pod as a whole, could come from: for the topology manager. */
  hints(pod: Pod, container: string | undefined): HintsByResource {
    const { manager } = this.#deps;
    const admission = podAdmission(pod, new Set());
    if (!manager || !admission) return new Map();
    return container === undefined ? manager.podTopologyHints(admission) : manager.topologyHints(admission, container);
  }

  /** What the pod waits for; undefined when nothing keeps it from asking. */
  waitOf(uid: PodUid): GrantWait | undefined {
    return this.#waits.get(uid);
  }

  /** Health of the devices of a pod's containers, by container name; undefined when it holds none. */
  healthOf(pod: Pod): DeviceHealth | undefined {
    const { manager, dra } = this.#deps;
    const uid = podUidOf(pod);
    const holds = manager?.holds(uid) === true;
    const claims = dra?.holdsAny(uid) === true;
    if (!holds && !claims) return undefined;
    const health = new Map<string, readonly ResourceStatus[]>();
    for (const { container, kind } of allContainers(pod)) {
      if (kind === 'ephemeral') continue;
      const claiming = { name: container.name, claims: container.resources?.claims };
      const statuses = [
        ...(holds ? (manager?.containerHealth(uid, container.name) ?? []) : []),
        ...(claims ? (dra?.containerHealth(claimingPod(pod), claiming) ?? []) : []),
      ];
      if (statuses.length > 0) health.set(container.name, statuses.map(toApi));
    }
    return health.size === 0 ? undefined : health;
  }

  grantsOf(pod: Pod, name: string): ContainerGrants {
    const { manager, dra } = this.#deps;
    const options = manager?.containerOptions(podUidOf(pod), name);
    if (options && options.conflicts.length > 0) this.#tellConflicts(pod, name, options);
    const claimed = dra && claimsAnything(pod) ? this.#claimedDevices(dra, pod, name) : [];
    if (!options) return claimed.length === 0 ? nothing : { ...nothing, cdiDevices: claimed };
    const { devices, mounts, envs, annotations, cdiDevices } = options;
    return {
      devices,
      mounts: mounts.map(({ hostPath, containerPath, readOnly }) => ({ hostPath, containerPath, readonly: readOnly })),
      envs,
      annotations,
      cdiDevices: [...new Set([...cdiDevices, ...claimed])],
    };
  }

  async prepareClaims(pod: Pod, signal: AbortSignal): Promise<void> {
    const { dra } = this.#deps;
    if (!claimsAnything(pod)) return this.#nothingClaimed('PrepareResources');
    if (!dra) throw new StepError('FailedPrepareDynamicResources', 'dynamic resource allocation is turned off here');
    try {
      await this.#timed('PrepareResources', () => dra.prepare(claimingPod(pod), signal), signal);
    } catch (err) {
      signal.throwIfAborted();
      throw new StepError('FailedPrepareDynamicResources', errorText(err), err);
    }
  }

  async preStart(pod: Pod, container: string, signal: AbortSignal): Promise<void> {
    const { name = '', namespace = 'default' } = pod.metadata ?? {};
    try {
      await this.#deps.manager?.preStart({ uid: podUidOf(pod), namespace, name }, container, signal);
    } catch (err) {
      signal.throwIfAborted();
      throw new StepError('PreStartHookError', errorText(err), err);
    }
  }

  async release(uid: PodUid, signal: AbortSignal): Promise<void> {
    this.#waits.delete(uid);
    this.#ignored.delete(uid);
    const { dra } = this.#deps;
    if (dra?.holdsAny(uid)) await this.#timed('UnprepareResources', () => dra.unprepare(uid, signal), signal);
    else this.#nothingClaimed('UnprepareResources');
    await this.#deps.manager?.release(uid, signal);
  }

  /** The pods that hold something, also of earlier runs. */
  present(): Promise<readonly PodUid[]> {
    const { manager, dra } = this.#deps;
    return Promise.resolve([...new Set([...(manager?.holders() ?? []), ...(dra?.holders() ?? [])])] as PodUid[]);
  }

  [Symbol.dispose](): void {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
  }

  /** Pods without claims are counted as well, as a kubelet does: what failed is looked at as a share of all. */
  #nothingClaimed(operation: 'PrepareResources' | 'UnprepareResources'): void {
    if (this.#deps.dra) this.#deps.metrics.claimsHandled(operation, 0, false);
  }

  async #timed(
    operation: 'PrepareResources' | 'UnprepareResources',
    work: () => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const started = performance.now();
    const done = (failed: boolean): void =>
      this.#deps.metrics.claimsHandled(operation, (performance.now() - started) / 1000, failed);
    try {
      await work();
      done(false);
    } catch (err) {
      if (!signal.aborted) done(true);
      throw err;
    }
  }

  async #ask(
    manager: DeviceManager,
    pod: Pod,
    request: NonNullable<ReturnType<typeof podAdmission>>,
    signal: AbortSignal,
  ): Promise<GrantOutcome> {
    const uid = podUidOf(pod);
    try {
      const result = await manager.allocate(request, signal);
      if (result.kind === 'wait') return this.#wait(uid, result);
      this.#waits.delete(uid);
      this.#tellIgnored(pod, result.ignored);
      return { kind: 'granted' };
    } catch (err) {
      signal.throwIfAborted();
      if (err instanceof TopologyError) {
        this.#waits.delete(uid);
        return { kind: 'refused', reason: 'TopologyAffinityError', message: err.message };
      }
      if (!(err instanceof DevicePluginError)) throw err;
      // Nothing is wrong with the pod: what it needs could not be written down.
      if (err.failure.code === 'checkpoint') throw err;
      const soon = err.failure.code === 'insufficient' ? this.#soonFree(manager, err.failure.resource) : undefined;
      if (soon) return this.#wait(uid, { ...soon, reason: `${err.message}; ${soon.reason}` });
      this.#waits.delete(uid);
      const message = `Allocate failed due to ${err.message}, which is unexpected`;
      return { kind: 'refused', reason: 'UnexpectedAdmissionError', message };
    }
  }

  #wait(uid: PodUid, { resource, reason, until }: Omit<GrantWait, 'since'>): GrantOutcome {
    const since = this.#waits.get(uid)?.since ?? this.#deps.clock.now();
    this.#waits.set(uid, { resource, reason, until, since });
    return { kind: 'waiting' };
  }

  /** Pods that end give their devices back: one that takes their place waits for them. */
  #soonFree(manager: DeviceManager, resource: string): Omit<GrantWait, 'since'> | undefined {
    const holders = (this.#users?.ending() ?? []).filter(({ pod }) =>
      allContainers(pod).some(({ container }) =>
        manager.devicesOf(podUidOf(pod), container.name).some((device) => device.resource === resource),
      ),
    );
    const until = Math.max(0, ...holders.map((ending) => ending.until)) + endingSlackMs;
    if (holders.length === 0 || until <= this.#deps.clock.now()) return undefined;
    const names = holders.map(({ pod }) => pod.metadata?.name ?? '').join(', ');
    return { resource, until, reason: `pods that are ending give back theirs: ${names}` };
  }

  #askAgain(): void {
    this.#changes++;
    const waiting = [...this.#waits.entries()];
    // The time it waits already counts on, should it have to go on waiting.
    for (const [uid, wait] of waiting) this.#waits.set(uid, { ...wait, until: 0 });
    this.#wake(waiting.map(([uid]) => uid));
  }

  #wake(uids: readonly PodUid[]): void {
    for (const uid of uids) this.#users?.wake(uid);
  }

  #claimedDevices(dra: ClaimedDevices, pod: Pod, name: string): readonly string[] {
    const container = allContainers(pod).find((each) => each.container.name === name)?.container;
    if (!container || !('resources' in container)) return [];
    return dra.cdiDevicesOf(claimingPod(pod), { name, claims: container.resources?.claims });
  }

  /** Told once per pod: it runs, and without what it asked for. */
  #tellIgnored(pod: Pod, ignored: readonly string[]): void {
    const names = ignored.join(', ');
    if (names === '' || this.#ignored.get(podUidOf(pod)) === names) return;
    this.#ignored.set(podUidOf(pod), names);
    const message = `No device plugin and no device pool of this node offers ${names}: the pod runs without`;
    this.#deps.events.record(podReference(pod), 'Warning', 'UnknownDeviceResource', message);
  }

  #tellConflicts(pod: Pod, container: string, { conflicts }: ContainerDeviceOptions): void {
    this.#deps.log.warn({ podUid: podUidOf(pod), container, conflicts }, 'device plugins contradict each other');
  }
}

const toApi = ({
  name,
  resources,
}: {
  readonly name: string;
  readonly resources: readonly {
    readonly resourceID: string;
    readonly health: string;
    readonly message?: string | undefined;
  }[];
}): ResourceStatus => ({
  name,
  resources: resources.map(({ resourceID, health, message }) => ({
    resourceID,
    health,
    ...(message !== undefined && { message }),
  })),
});
