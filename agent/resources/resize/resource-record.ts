import { rename } from 'node:fs/promises';
import { readIfPresent, writeFileAtomic } from '../../../base/atomic-file.js';
import type { Clock } from '../../../base/clock.js';
import { errorText } from '../../../base/errors.js';
import { goChecksum, goString } from '../../../base/go-dump.js';
import type { Logger } from '../../../base/log.js';
import { orAbort } from '../../../base/signals.js';
import type { PodUid, ResourceRequirements } from '../../api/index.js';
import type { PodResources } from './pod-resources.js';

export interface ResourceRecordDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

interface StoredPod {
  readonly ContainerResources?: Readonly<Record<string, ResourceRequirements>> | null;
  readonly PodLevelResources?: ResourceRequirements | null;
}

/** A change that nothing waits for is written with those that follow it: the file has all pods, and a burst would write it for each. */
const writeAfterMs = 1000;

/**
 * Resources by pod and container, kept in the kubelet's format (`allocated_pods_state`, `actuated_pods_state`) and with its checksum, so
 * that either agent can go on from what the other left. What was set is written soon, and at once where somebody waits for it.
 */
export class ResourceRecord implements AsyncDisposable {
  readonly #path: string;
  readonly #deps: ResourceRecordDeps;
  readonly #pods: Map<PodUid, PodResources>;
  #version = 0;
  #written = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;

  private constructor(path: string, pods: Map<PodUid, PodResources>, deps: ResourceRecordDeps) {
    this.#path = path;
    this.#pods = pods;
    this.#deps = deps;
  }

  /** A file that cannot be used is set aside: the pods are taken as their sources have them. */
  static async open(path: string, deps: ResourceRecordDeps): Promise<ResourceRecord> {
    const text = await readIfPresent(path);
    if (text === undefined) return new ResourceRecord(path, new Map(), deps);
    try {
      return new ResourceRecord(path, parse(text), deps);
    } catch (err) {
      const movedTo = `${path}.corrupt-${deps.clock.now()}`;
      await rename(path, movedTo);
      deps.log.error({ path, movedTo, err: errorText(err) }, 'a record of resources of pods was set aside');
      return new ResourceRecord(path, new Map(), deps);
    }
  }

  of(uid: PodUid): PodResources | undefined {
    return this.#pods.get(uid);
  }

  set(uid: PodUid, resources: PodResources): void {
    this.#pods.set(uid, resources);
    this.#changed();
  }

  setContainer(uid: PodUid, name: string, resources: ResourceRequirements): void {
    const before = this.#pods.get(uid);
    if (before?.containers.get(name) === resources) return;
    this.set(uid, { pod: before?.pod, containers: new Map(before?.containers).set(name, resources) });
  }

  remove(uid: PodUid): void {
    if (this.#pods.delete(uid)) this.#changed();
  }

  /** Forgets all pods but these. */
  keepOnly(uids: ReadonlySet<PodUid>): void {
    for (const uid of this.#pods.keys()) if (!uids.has(uid)) this.remove(uid);
  }

  /** What was set is written now: a spec has changed, so that the next agent could not find it there. */
  hurry(): void {
    if (this.#written < this.#version) this.#writeUnasked();
  }

  /** Resolves when everything that was set before is on the disk. */
  async saved(signal: AbortSignal): Promise<void> {
    const wanted = this.#version;
    while (this.#written < wanted) await orAbort(this.#write(), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#written < this.#version) await this.#write().catch(() => {});
  }

  #changed(): void {
    this.#version++;
    this.#timer ??= setTimeout(() => this.#writeUnasked(), writeAfterMs);
  }

  #writeUnasked(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const wanted = this.#version;
    this.#write().then(
      // It joined a write that had been begun before.
      () => void (this.#written < wanted && this.#writeUnasked()),
      (err: unknown) =>
        this.#deps.log.warn({ path: this.#path, err: errorText(err) }, 'a record of resources could not be written'),
    );
  }

  /** One at a time; the file has all that was set when it was begun. */
  #write(): Promise<void> {
    this.#writing ??= this.#writeNow().finally(() => (this.#writing = undefined));
    return this.#writing;
  }

  async #writeNow(): Promise<void> {
    const version = this.#version;
    // No container outlives a power cut: what it was promised need not either. A kill -9 soon after it must not lose it.
    await writeFileAtomic(this.#path, print(this.#pods), { flush: false });
    this.#written = version;
  }
}

function print(pods: ReadonlyMap<PodUid, PodResources>): string {
  const entries = [...pods].map(([uid, { containers, pod }]): [string, StoredPod] => [
    uid,
    { ContainerResources: Object.fromEntries(containers), PodLevelResources: pod ?? null },
  ]);
  const data = JSON.stringify(entries.length > 0 ? { entries: Object.fromEntries(entries) } : {});
  return JSON.stringify({ data, checksum: goChecksum(goString(data)) });
}

function parse(text: string): Map<PodUid, PodResources> {
  const { data, checksum } = JSON.parse(text) as { readonly data?: unknown; readonly checksum?: unknown };
  if (typeof data !== 'string') throw new Error('it has no data');
  if (goChecksum(goString(data)) !== checksum) throw new Error('its checksum is wrong');
  const { entries = {} } = JSON.parse(data) as { readonly entries?: Readonly<Record<string, StoredPod>> };
  return new Map(
    Object.entries(entries).map(([uid, { ContainerResources, PodLevelResources }]): [PodUid, PodResources] => [
      uid as PodUid,
      { containers: new Map(Object.entries(ContainerResources ?? {})), pod: PodLevelResources ?? undefined },
    ]),
  );
}
