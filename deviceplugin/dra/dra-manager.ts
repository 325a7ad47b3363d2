import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfPresent, writeFileAtomic } from '../../base/atomic-file.js';
import type { CallRecorder, CallSubject } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import { FifoLimit, KeyedLock } from '../../base/fifo-limit.js';
import type { Logger } from '../../base/log.js';
import type { Claim } from '../../proto/generated/dra-v1.js';
import type { NodeWatchResourcesResponse } from '../../proto/generated/dra-health-v1alpha1.js';
import type { DynamicResource } from '../../proto/generated/podresources-v1.js';
import type { AllocatedDeviceStatus, AllocatedResourceStatus } from '../manager/device-health.js';
import type { PluginHandler } from '../plugin-handler.js';
import { claimKey, devicesOfRequest, toDynamicResource, type ClaimInfo } from './claim-info.js';
import { formatClaims } from './format-claims.js';
import { DraDrivers } from './dra-drivers.js';
import { DraError } from './dra-error.js';
import { HealthStore } from './health-store.js';
import { HealthTable } from './health-table.js';
import { SliceCleanup } from './slice-cleanup.js';
import {
  checkClaim,
  claimsOfContainer,
  claimsOfPod,
  type ClaimingContainer,
  type ClaimingPod,
  type ResourceClaim,
} from './pod-claims.js';

export interface DraManagerOptions {
  readonly root: string;
  /** For one call of a driver. Default 45 s. */
  readonly timeoutMs?: number | undefined;
  /** How long a driver may be away before its ResourceSlices go. Default 30 s. */
  readonly sliceDelayMs?: number | undefined;
}

export interface DraManagerDeps {
  readonly clock: Clock;
  readonly recorder: CallRecorder;
  readonly log: Logger;
  /** Reads a ResourceClaim from the control plane; rejects when there is none. */
  readonly readClaim: (namespace: string, name: string, signal: AbortSignal) => Promise<ResourceClaim>;
  /** Takes away the ResourceSlices of a driver, or of all, on this node; absent where there are none. */
  readonly removeSlices?: ((driver: string | undefined, signal: AbortSignal) => Promise<void>) | undefined;
}

/** Dynamic resource allocation: claims are prepared by their drivers once per node and shared by the pods that use them. */
export class DraManager implements Disposable {
  readonly #deps: DraManagerDeps;
  readonly #path: string;
  readonly #drivers: DraDrivers;
  readonly #claims = new Map<string, ClaimInfo>();
  readonly #locks = new KeyedLock();
  readonly #writes = new FifoLimit(1);
  readonly #slices: SliceCleanup | undefined;
  readonly #health = new HealthTable();
  readonly #healthStore: HealthStore;
  readonly #listeners = new Set<(podUids: readonly string[]) => void>();
  readonly #notes: string[] = [];
  #ageTimer: NodeJS.Timeout | undefined;

  constructor(options: DraManagerOptions, deps: DraManagerDeps) {
    this.#deps = deps;
    this.#path = join(options.root, 'dra_manager_state');
    const { clock, log, removeSlices } = deps;
    this.#healthStore = new HealthStore(join(options.root, 'dra_health_state'), this.#health, log);
    this.#slices =
      removeSlices && new SliceCleanup({ delayMs: options.sliceDelayMs }, { clock, log, remove: removeSlices });
    this.#drivers = new DraDrivers(
      { timeoutMs: options.timeoutMs ?? 45_000 },
      {
        ...deps,
        onHealth: (driver, report) => this.#onHealth(driver, report),
        onHealthEnd: (driver) => this.#onHealthEnd(driver),
        onDrivers: (names) => this.#slices?.changed(names),
      },
    );
  }

  /** Reads the checkpoint; one that cannot be read is set aside and noted. */
  async start(): Promise<void> {
    this.#slices?.start();
    await this.#healthStore.load();
    this.#watchAge();
    const text = await readIfPresent(this.#path);
    if (text === undefined) return;
    const { parseClaims } = await import('./parse-claims.js');
    try {
      for (const claim of parseClaims(text)) this.#claims.set(claimKey(claim.namespace, claim.name), claim);
    } catch (err) {
      const movedTo = `${this.#path}.corrupt-${this.#deps.clock.now()}`;
      await rename(this.#path, movedTo);
      this.#notes.push(`the checkpoint of dynamic resources was unreadable (${errorText(err)}) and is now ${movedTo}`);
      this.#deps.log.error({ err, movedTo }, 'checkpoint of dynamic resources set aside');
    }
  }

  /** For the watcher of the plugin registration folder, type `DRAPlugin`. */
  get handler(): PluginHandler {
    return this.#drivers.handler;
  }

  get drivers(): readonly string[] {
    return this.#drivers.names();
  }

  /** Claims on this node, by driver; `<any>` counts each once. */
  claimsInUse(): ReadonlyMap<string, number> {
    const counts = new Map([['<any>', this.#claims.size]]);
    for (const { drivers } of this.#claims.values())
      for (const driver of drivers.keys()) counts.set(driver, (counts.get(driver) ?? 0) + 1);
    return counts;
  }

  get notes(): readonly string[] {
    return this.#notes;
  }

  /**
   * Before the sandbox is made: all claims of the pod, prepared by their drivers. Rejects with `DraError`; what was begun
   * is kept and undone by `unprepare`. May be repeated.
   */
  async prepare(pod: ClaimingPod, signal: AbortSignal): Promise<void> {
    const { uid, namespace } = pod.metadata;
    const claims: ClaimInfo[] = [];
    // Nothing is noted before all was checked: a pod that fails here can go without anything to undo.
    for (const { claim: name, mustBeOwned } of claimsOfPod(pod)) {
      const claim = await this.#deps.readClaim(namespace, name, signal);
      const drivers = checkClaim(claim, uid, mustBeOwned);
      for (const driver of drivers) this.#drivers.get(driver);
      claims.push({
        uid: claim.metadata.uid,
        name,
        namespace,
        podUids: new Set([uid]),
        drivers: new Map(drivers.map((driver) => [driver, []])),
        prepared: false,
      });
    }
    if (claims.length === 0) return;
    const keys = claims.map((claim) => claimKey(namespace, claim.name));
    await this.#locked(keys, () => this.#prepare(pod, claims, signal), signal);
  }

  /**
   * After the last container: claims no other pod uses are given back to their drivers. Rejects with `DraError` and is to
   * be repeated then; succeeds when there is nothing left to do.
   */
  async unprepare(podUid: string, signal: AbortSignal): Promise<void> {
    const keys = this.#ofPod(podUid).map((claim) => claimKey(claim.namespace, claim.name));
    if (keys.length > 0) await this.#locked(keys, () => this.#unprepare(podUid, keys, signal), signal);
  }

  /** Whether anything is prepared, or half prepared, for the pod: its end is not the end before `unprepare` succeeded. */
  holdsAny(podUid: string): boolean {
    return this.#ofPod(podUid).length > 0;
  }

  /** The pods something is prepared for, or half prepared. */
  holders(): readonly string[] {
    return [...new Set([...this.#claims.values()].flatMap((claim) => [...claim.podUids]))];
  }

  /** Gives back what pods hold that are not in the list; returns what did not work, to be repeated later. */
  async retainOnly(podUids: ReadonlySet<string>, signal: AbortSignal): Promise<readonly DraError[]> {
    const failures: DraError[] = [];
    for (const uid of this.holders()) {
      if (podUids.has(uid)) continue;
      try {
        await this.unprepare(uid, signal);
      } catch (err) {
        if (!(err instanceof DraError)) throw err;
        failures.push(err);
      }
    }
    return failures;
  }

  /** The CDI devices of a container, each once. Throws `not-prepared` when a claim of it is not here. */
  cdiDevicesOf(pod: ClaimingPod, container: ClaimingContainer): readonly string[] {
    const names = claimsOfContainer(pod, container).flatMap(({ claim, request }) => {
      const info = this.#claims.get(claimKey(pod.metadata.namespace, claim));
      if (info?.podUids.has(pod.metadata.uid) !== true) {
        throw new DraError(`use ResourceClaim ${claim} in container ${container.name}: it was not prepared`, {
          code: 'not-prepared',
          claim,
        });
      }
      return devicesOfRequest(info, request).flatMap((device) => device.cdiDevices);
    });
    return [...new Set(names)];
  }

  /** For the pod resources API. */
  dynamicResourcesOf(pod: ClaimingPod, container: ClaimingContainer): readonly DynamicResource[] {
    const names = new Set(claimsOfContainer(pod, container, 'leave-out').map(({ claim }) => claim));
    return [...names].flatMap((name) => {
      const info = this.#claims.get(claimKey(pod.metadata.namespace, name));
      return info === undefined ? [] : [toDynamicResource(info)];
    });
  }

  /** The health of the devices of a container's claims, for its status. */
  containerHealth(pod: ClaimingPod, container: ClaimingContainer): readonly AllocatedResourceStatus[] {
    const now = this.#deps.clock.now();
    return claimsOfContainer(pod, container, 'leave-out').flatMap(({ claim, request, statusName }) => {
      const info = this.#claims.get(claimKey(pod.metadata.namespace, claim));
      if (info === undefined || statusName === undefined) return [];
      const devices = new Map<string, AllocatedDeviceStatus>();
      for (const { driver, pool, device, cdiDevices } of devicesOfRequest(info, request)) {
        const resourceID = cdiDevices[0] ?? `${driver}/${pool}/${device}`;
        const { health, message } = this.#health.get(driver, pool, device, now);
        if (!devices.has(resourceID)) devices.set(resourceID, { resourceID, health, message });
      }
      return devices.size === 0 ? [] : [{ name: statusName, resources: [...devices.values()] }];
    });
  }

  /** Told of pods whose devices' health is another now. The listener must not throw and must not take long. */
  subscribe(listener: (podUids: readonly string[]) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#ageTimer);
    this.#slices?.[Symbol.dispose]();
    this.#drivers[Symbol.dispose]();
  }

  async #prepare(pod: ClaimingPod, claims: readonly ClaimInfo[], signal: AbortSignal): Promise<void> {
    const { uid, namespace, name } = pod.metadata;
    for (const claim of claims) {
      const known = this.#claims.get(claimKey(namespace, claim.name));
      if (known !== undefined && known.uid !== claim.uid) {
        throw new DraError(
          `use ResourceClaim ${claim.name}: an older one of this name (${known.uid}) is still prepared for an earlier pod`,
          { code: 'claim-replaced', claim: claim.name },
        );
      }
    }
    for (const claim of claims) {
      const known = this.#claims.get(claimKey(namespace, claim.name)) ?? claim;
      this.#put({ ...known, podUids: new Set([...known.podUids, uid]) });
    }
    // Before the drivers are asked: a crash in between leaves claims that the next start knows to give back.
    await this.#save(signal);

    const open = claims.filter((claim) => this.#claims.get(claimKey(namespace, claim.name))?.prepared === false);
    const subject = { podUid: uid, podNamespace: namespace, podName: name };
    for (const [driver, batch] of batches(open)) {
      const answers = await this.#drivers.get(driver).prepare(batch.map(toWire), subject, signal);
      for (const claim of batch) {
        const known = this.#claims.get(claimKey(namespace, claim.name)) ?? claim;
        this.#put({ ...known, drivers: new Map([...known.drivers, [driver, answers.get(claim.uid) ?? []]]) });
      }
    }
    for (const claim of open) {
      const known = this.#claims.get(claimKey(namespace, claim.name));
      if (known !== undefined) this.#put({ ...known, prepared: true });
    }
    if (open.length > 0) await this.#save(signal);
  }

  async #unprepare(podUid: string, keys: readonly string[], signal: AbortSignal): Promise<void> {
    const held = keys.flatMap((key) => this.#claims.get(key) ?? []).filter((claim) => claim.podUids.has(podUid));
    const last = held.filter((claim) => claim.podUids.size === 1);
    const subject: CallSubject = { podUid };
    for (const [driver, batch] of batches(last)) {
      await this.#drivers.get(driver).unprepare(batch.map(toWire), subject, signal);
    }
    for (const claim of last) this.#claims.delete(claimKey(claim.namespace, claim.name));
    for (const claim of held.filter((each) => !last.includes(each))) {
      this.#put({ ...claim, podUids: new Set([...claim.podUids].filter((uid) => uid !== podUid)) });
    }
    await this.#save(signal);
  }

  #ofPod(podUid: string): readonly ClaimInfo[] {
    return [...this.#claims.values()].filter((claim) => claim.podUids.has(podUid));
  }

  #put(claim: ClaimInfo): void {
    this.#claims.set(claimKey(claim.namespace, claim.name), claim);
  }

  /** One at a time per claim, in one order for all, so that two pods with the same claims do not wait for each other. */
  async #locked(keys: readonly string[], work: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const run = [...new Set(keys)]
      .sort()
      .reduceRight<() => Promise<void>>((inner, key) => () => this.#locks.run(key, inner, signal), work);
    await run();
  }

  async #save(signal: AbortSignal): Promise<void> {
    try {
      await this.#writes.run(() => writeFileAtomic(this.#path, formatClaims([...this.#claims.values()])), signal);
    } catch (err) {
      signal.throwIfAborted();
      throw new DraError(
        `write the checkpoint of dynamic resources ${this.#path}: ${errorText(err)}`,
        { code: 'checkpoint', path: this.#path },
        { cause: err },
      );
    }
  }

  #onHealth(driver: string, report: NodeWatchResourcesResponse): void {
    const now = this.#deps.clock.now();
    const changed = this.#health.update(driver, report, now);
    this.#healthStore.save(changed.size > 0, now);
    this.#tellHealth(driver, changed);
    this.#watchAge();
  }

  #onHealthEnd(driver: string): void {
    const now = this.#deps.clock.now();
    const changed = this.#health.forget(driver, now);
    if (changed.size === 0) return;
    this.#healthStore.save(true, now);
    this.#tellHealth(driver, changed);
  }

  /** News that nobody renews grows old by itself: the pods are told then. */
  #watchAge(): void {
    const now = this.#deps.clock.now();
    const at = this.#health.nextExpiry(now);
    clearTimeout(this.#ageTimer);
    if (at === undefined) return;
    this.#ageTimer = setTimeout(() => {
      for (const [driver, devices] of this.#health.expired(this.#deps.clock.now())) this.#tellHealth(driver, devices);
      this.#watchAge();
    }, at - now).unref();
  }

  #tellHealth(driver: string, changed: ReadonlySet<string>): void {
    if (changed.size === 0) return;
    const podUids = [...this.#claims.values()]
      .filter((claim) => claim.drivers.get(driver)?.some(({ pool, device }) => changed.has(`${pool}/${device}`)))
      .flatMap((claim) => [...claim.podUids]);
    if (podUids.length === 0) return;
    for (const listener of this.#listeners) listener([...new Set(podUids)]);
  }
}

const toWire = ({ namespace, uid, name }: ClaimInfo): Claim => ({ namespace, uid, name });

/** One call per driver, whatever the number of claims. */
function batches(claims: readonly ClaimInfo[]): ReadonlyMap<string, readonly ClaimInfo[]> {
  const batched = new Map<string, ClaimInfo[]>();
  for (const claim of claims) {
    for (const driver of claim.drivers.keys()) batched.set(driver, [...(batched.get(driver) ?? []), claim]);
  }
  return batched;
}
