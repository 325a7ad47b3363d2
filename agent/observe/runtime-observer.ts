import type { ContainerStatus as CriContainerStatus } from '../../proto/generated/cri-v1.js';
import { isCriCode, type RuntimeService } from '../../cri/index.js';
import type { PodUid } from '../api/index.js';
import type { ObservedContainer, ObservedSandbox, RuntimeFacts } from '../podloop/pod-facts.js';
import { isAsListed } from './is-as-listed.js';
import { observedContainer, observedSandbox } from './observed-status.js';
import { showsChange, type RuntimeChange } from './runtime-change.js';
import { RuntimeListing, type PodItems } from './runtime-listing.js';

export interface ObserverDeps {
  readonly runtime: RuntimeService;
  /** `containerd`, `berth`, ...: the scheme of container ids in the pod status. Asked until it is known. */
  runtimeName(signal: AbortSignal): Promise<string>;
  /** Everything, or one pod, was looked at. */
  looked?(at: 'all' | 'pod', seconds: number): void;
  /** What an exited container left as its last words. */
  terminationMessage(status: CriContainerStatus): Promise<string>;
}

/** A read under way: what was said of the pod meanwhile must show in its answer, or the answer is not kept. */
interface Reading {
  readonly said: RuntimeChange[];
}

/**
 * What the runtime says of each pod. A pod is read again only after something said that it changed: an event of the runtime, or
 * one of our own verbs. That keeps a pass at rest free of calls.
 */
export class RuntimeObserver {
  readonly #deps: ObserverDeps;
  readonly #listing: RuntimeListing;
  #name: Promise<string> | undefined;
  readonly #known = new Map<PodUid, RuntimeFacts>();
  /** Answers that may be out of date; what can never change in them is not asked for again. */
  readonly #last = new Map<PodUid, RuntimeFacts>();
  /** An invalidation takes the entry away, and the answer is not kept. */
  readonly #reading = new Map<PodUid, Reading>();

  constructor(deps: ObserverDeps) {
    this.#deps = deps;
    this.#listing = new RuntimeListing(deps.runtime);
  }

  /** Something of the pod changed: the next `observe` asks the runtime. */
  invalidate(uid: PodUid): void {
    this.#listing.touch(uid);
    this.#known.delete(uid);
    this.#reading.delete(uid);
  }

  /** As `invalidate`, unless what is known shows the change already; false then. */
  tell(uid: PodUid, change: RuntimeChange): boolean {
    const known = this.#known.get(uid);
    if (known && showsChange(known, change)) return false;
    const reading = this.#reading.get(uid);
    if (reading) reading.said.push(change);
    else this.invalidate(uid);
    return true;
  }

  /** The runtime was away: nothing that is remembered can be relied on. */
  invalidateAll(): void {
    this.#listing.forget();
    this.#known.clear();
    this.#last.clear();
    this.#reading.clear();
  }

  async observe(uid: PodUid, signal: AbortSignal): Promise<RuntimeFacts> {
    const known = this.#known.get(uid);
    if (known) return known;
    const reading: Reading = { said: [] };
    this.#reading.set(uid, reading);
    const began = performance.now();
    const facts = await this.#read(uid, signal);
    this.#deps.looked?.('pod', (performance.now() - began) / 1000);
    if (facts.sandboxes.length + facts.containers.length > 0) this.#last.set(uid, facts);
    else this.#last.delete(uid);
    if (this.#reading.get(uid) !== reading) return facts;
    this.#reading.delete(uid);
    if (reading.said.every((change) => showsChange(facts, change))) this.#known.set(uid, facts);
    else this.#listing.touch(uid);
    return facts;
  }

  /** Uids of all pods the runtime has anything of. */
  async podUids(signal: AbortSignal): Promise<ReadonlySet<PodUid>> {
    const began = performance.now();
    const all = await this.#listing.all(signal);
    this.#deps.looked?.('all', (performance.now() - began) / 1000);
    return new Set(all.keys());
  }

  /**
   * For a runtime that tells of nothing: looks at everything at once. Pods that are not as they are known are read again when they are
   * observed next; their uids are returned.
   */
  async relist(signal: AbortSignal): Promise<readonly PodUid[]> {
    const began = performance.now();
    const all = await this.#listing.all(signal);
    this.#deps.looked?.('all', (performance.now() - began) / 1000);
    const changed = [...this.#known].filter(([uid, facts]) => !isAsListed(facts, all.get(uid))).map(([uid]) => uid);
    for (const uid of changed) this.#known.delete(uid);
    return changed;
  }

  async #read(uid: PodUid, signal: AbortSignal): Promise<RuntimeFacts> {
    const items = await this.#listing.of(uid, signal);
    const last = this.#last.get(uid);
    const [sandboxes, containers] = await Promise.all([
      Promise.all(items.sandboxes.map((item) => this.#sandbox(item, last, signal))),
      Promise.all(items.containers.map((item) => this.#container(item, last, signal))),
    ]);
    return {
      sandboxes: sandboxes
        .filter((sandbox) => sandbox !== undefined)
        .sort((a, b) => b.attempt - a.attempt || b.createdAt - a.createdAt),
      containers: containers
        .filter((container) => container !== undefined)
        .sort((a, b) => b.createdAt - a.createdAt || b.restartCount - a.restartCount),
    };
  }

  /** A sandbox keeps its addresses for as long as it is ready. */
  async #sandbox(
    { id, state }: PodItems['sandboxes'][number],
    last: RuntimeFacts | undefined,
    signal: AbortSignal,
  ): Promise<ObservedSandbox | undefined> {
    const before = last?.sandboxes.find((sandbox) => sandbox.id === id);
    if (before?.ready && state === 'SANDBOX_READY') return before;
    const answer = await ifFound(this.#deps.runtime.podSandboxStatus({ podSandboxId: id }, signal));
    return answer?.status ? observedSandbox(answer.status) : undefined;
  }

  /** How a container ended never changes. */
  async #container(
    { id, podSandboxId = '' }: PodItems['containers'][number],
    last: RuntimeFacts | undefined,
    signal: AbortSignal,
  ): Promise<ObservedContainer | undefined> {
    const before = last?.containers.find((container) => container.id === id);
    if (before?.state === 'exited') return before;
    const answer = await ifFound(this.#deps.runtime.containerStatus({ containerId: id }, signal));
    if (!answer?.status) return undefined;
    const container = observedContainer(answer.status, podSandboxId, await this.#runtimeName(signal));
    if (container.state !== 'exited') return container;
    return { ...container, message: (await this.#deps.terminationMessage(answer.status)) || container.message };
  }

  #runtimeName(signal: AbortSignal): Promise<string> {
    if (this.#name) return this.#name;
    const asked = this.#deps.runtimeName(signal);
    this.#name = asked;
    asked.catch(() => (this.#name = undefined));
    return asked;
  }
}

/** Removed between the list and the status: it is simply not there any more. */
async function ifFound<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (err) {
    if (isCriCode(err, 'not-found')) return undefined;
    throw err;
  }
}
