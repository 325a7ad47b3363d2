import { setImmediate } from 'node:timers/promises';
import type { ContainerStatus as CriContainerStatus } from '../../proto/generated/cri-v1.js';
import { unlessGone, type RuntimeService } from '../../cri/index.js';
import type { PodUid } from '../api/index.js';
import type { ObservedContainer, ObservedSandbox, RuntimeFacts } from '../podloop/pod-facts.js';
import { isAsListed } from './is-as-listed.js';
import { observedContainer, observedSandbox } from './observed-status.js';
import { doubtsAfter, doubtsOf, type Doubts } from './doubts.js';
import { saidOfContainer, saidOfSandbox } from './said.js';
import { showsChange, type RuntimeChange } from './runtime-change.js';
import { RuntimeListing } from './runtime-listing.js';

export interface ObserverDeps {
  readonly runtime: RuntimeService;
  /** `containerd`, `berth`, ...: the scheme of container ids in the pod status. Asked until it is known. */
  runtimeName(signal: AbortSignal): Promise<string>;
  /** Everything, or one pod, was looked at. */
  looked?(at: 'all' | 'pod', seconds: number): void;
  /** What an exited container left as its last words. */
  terminationMessage(status: CriContainerStatus): Promise<string>;
}

/** What is known of one pod. */
interface View {
  /** The last answer; what can never change in it is not asked for again. */
  facts: RuntimeFacts | undefined;
  /** Told and not seen yet. */
  changes: readonly RuntimeChange[];
  /** Set when anything of the pod may have changed; another one each time. */
  unlisted: symbol | undefined;
}

/**
 * What the runtime says of each pod. Read again is only what something said to have changed: an event of the runtime, or one of our
 * own verbs. That keeps a pass at rest free of calls, and one after a verb at a single call. The runtime is asked for a list of the
 * pod where nobody can say what changed: after a failed step, and from time to time.
 */
export class RuntimeObserver {
  readonly #deps: ObserverDeps;
  readonly #listing: RuntimeListing;
  #name: Promise<string> | undefined;
  readonly #views = new Map<PodUid, View>();

  constructor(deps: ObserverDeps) {
    this.#deps = deps;
    this.#listing = new RuntimeListing(deps.runtime);
  }

  /** Anything of the pod may have changed: the next `observe` lists it. */
  invalidate(uid: PodUid): void {
    this.#listing.touch(uid);
    const view = this.#views.get(uid);
    if (view) view.unlisted = Symbol('unlisted');
  }

  /** The pod is no more. */
  forget(uid: PodUid): void {
    this.#listing.touch(uid);
    this.#views.delete(uid);
  }

  /** The next `observe` asks for what changed, unless what is known shows it already; false then. */
  tell(uid: PodUid, change: RuntimeChange): boolean {
    const view = this.#views.get(uid);
    if (view?.facts && showsChange(view.facts, change)) return false;
    this.#listing.touch(uid);
    if (view) view.changes = [...view.changes, change];
    return true;
  }

  /** The runtime was away: nothing that is remembered can be relied on. */
  invalidateAll(): void {
    this.#listing.forget();
    this.#views.clear();
  }

  async observe(uid: PodUid, signal: AbortSignal): Promise<RuntimeFacts> {
    const view = this.#viewOf(uid);
    // What the runtime tells of a start lies on the socket beside the answer to it: one turn of the event loop reads it.
    if (view.facts && !view.unlisted && view.changes.some(({ became, said }) => became === 'running' && !said))
      await setImmediate();
    const { facts: before, changes, unlisted } = view;
    if (before && !unlisted && changes.length === 0) return before;
    const began = performance.now();
    const doubts = before && !unlisted ? doubtsAfter(before, changes) : undefined;
    const facts = doubts
      ? await this.#reread(doubts, changes, signal)
      : await this.#reread(doubtsOf(await this.#listing.of(uid, signal), before), [], signal);
    this.#deps.looked?.('pod', (performance.now() - began) / 1000);
    // Whoever read meanwhile saw at least as much.
    if (view.facts !== before) return facts;
    view.facts = facts;
    if (view.unlisted === unlisted) view.unlisted = undefined;
    // What was said meanwhile must show in the answer, or is asked for again.
    view.changes = view.changes.filter((change) => !changes.includes(change) && !showsChange(facts, change));
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
    const changed: PodUid[] = [];
    for (const [uid, view] of this.#views) {
      if (!view.facts || isAsListed(view.facts, all.get(uid))) continue;
      view.unlisted = Symbol('unlisted');
      changed.push(uid);
    }
    return changed;
  }

  #viewOf(uid: PodUid): View {
    const view = this.#views.get(uid) ?? { facts: undefined, changes: [], unlisted: undefined };
    this.#views.set(uid, view);
    return view;
  }

  /** `changes`: what they say with a sandbox or a container that runs need not be asked for. */
  async #reread(
    { kept, sandboxes, containers }: Doubts,
    changes: readonly RuntimeChange[],
    signal: AbortSignal,
  ): Promise<RuntimeFacts> {
    const [askedSandboxes, askedContainers] = await Promise.all([
      Promise.all(sandboxes.map(async (id) => saidOfSandbox(changes, id) ?? (await this.#sandbox(id, signal)))),
      Promise.all(
        containers.map(async (one) => (await this.#said(changes, one, signal)) ?? (await this.#container(one, signal))),
      ),
    ]);
    // A sandbox that is gone took its containers with it, whether or not anyone told of them.
    const gone = new Set(sandboxes.filter((_id, index) => askedSandboxes[index] === undefined));
    return inOrder([
      [...kept.sandboxes, ...askedSandboxes],
      [...kept.containers, ...askedContainers].filter((one) => one && !gone.has(one.sandboxId)),
    ]);
  }

  async #sandbox(id: string, signal: AbortSignal): Promise<ObservedSandbox | undefined> {
    const answer = await unlessGone(this.#deps.runtime.podSandboxStatus({ podSandboxId: id }, signal));
    return answer?.status ? observedSandbox(answer.status) : undefined;
  }

  async #said(
    changes: readonly RuntimeChange[],
    { id, sandboxId }: Doubts['containers'][number],
    signal: AbortSignal,
  ): Promise<ObservedContainer | undefined> {
    const status = saidOfContainer(changes, id);
    return status && observedContainer(status, sandboxId, await this.#runtimeName(signal));
  }

  async #container(
    { id, sandboxId }: Doubts['containers'][number],
    signal: AbortSignal,
  ): Promise<ObservedContainer | undefined> {
    const answer = await unlessGone(this.#deps.runtime.containerStatus({ containerId: id }, signal));
    if (!answer?.status) return undefined;
    const container = observedContainer(answer.status, sandboxId, await this.#runtimeName(signal));
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

/** Newest first. */
function inOrder([sandboxes, containers]: [
  readonly (ObservedSandbox | undefined)[],
  readonly (ObservedContainer | undefined)[],
]): RuntimeFacts {
  return {
    sandboxes: sandboxes
      .filter((sandbox) => sandbox !== undefined)
      .sort((a, b) => b.attempt - a.attempt || b.createdAt - a.createdAt),
    containers: containers
      .filter((container) => container !== undefined)
      .sort((a, b) => b.createdAt - a.createdAt || b.restartCount - a.restartCount),
  };
}
