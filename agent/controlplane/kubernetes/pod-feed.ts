import type { Clock } from '../../../base/clock.js';
import { errorText } from '../../../base/errors.js';
import type { Logger } from '../../../base/log.js';
import { linkSignal, orAbort } from '../../../base/signals.js';
import { isMirrorPod, podUidOf, type Node, type Pod } from '../../api/index.js';
import { ApiError, reflect, statusOf, SteadyTrouble, type ApiClient } from './client/index.js';
import { HeldPods } from './held-pods.js';
import { KeptPods } from './kept-pods.js';
import type { LastKnown } from './last-known.js';
import type { PodCache } from './pod-cache.js';
import type { PodStatusWriter } from './pod-status-writer.js';

export interface PodFeedDeps {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly cache: PodCache;
  readonly statuses: PodStatusWriter;
  readonly lastKnown: LastKnown;
  readonly node: { readonly current: Node | undefined; refresh(signal: AbortSignal): Promise<void> };
}

/** How long the server may take for its first answer before the last known pods are started. */
const patienceMs = 3000;

/** Follows the pods that are bound to the node, and keeps the copy on disk that a start without the server goes on from. */
export class PodFeed {
  readonly #nodeName: string;
  readonly #deps: PodFeedDeps;
  #rememberNow: () => void = () => {};
  #refusal = '';
  /** The watch is allowed, and what comes is none. */
  readonly #garbage: SteadyTrouble;
  readonly #kept: KeptPods;

  constructor(nodeName: string, deps: PodFeedDeps) {
    this.#nodeName = nodeName;
    this.#deps = deps;
    this.#garbage = new SteadyTrouble(deps.clock, { fades: true });
    this.#kept = new KeptPods(deps);
  }

  /** Empty unless the server does not tell of this node's pods. */
  get problem(): string {
    const words = this.#refusal || this.#garbage.words;
    return words === '' ? '' : `the pods of node ${this.#nodeName} cannot be watched: ${words}`;
  }

  /** The server does not answer for something else: nobody waits any longer for what it may tell of pods. */
  serverFailed(): void {
    this.#rememberNow();
  }

  /** `ready` says when the node itself is known to the server. */
  async run(ready: Promise<void>, signal: AbortSignal): Promise<void> {
    const { cache, clock } = this.#deps;
    using patience = linkSignal(signal);
    const fallBack = async (): Promise<void> => {
      const hurried = new Promise<void>((resolve) => (this.#rememberNow = resolve));
      await Promise.race([clock.sleep(patienceMs, patience.signal), hurried]);
      if (!cache.synced) this.#remember();
    };
    const falling = fallBack().catch(() => {});
    await orAbort(ready, signal);
    const changed = (pod: Pod): void => {
      cache.put(pod);
      this.#kept.put(pod);
      this.#repair(pod, signal);
    };
    const held = new HeldPods({
      nodeName: this.#nodeName,
      node: () => this.#deps.node.current,
      refresh: () => this.#deps.node.refresh(signal),
      pass: changed,
    });
    await reflect<Pod>(
      { path: '/api/v1/pods', fieldSelector: `spec.nodeName=${this.#nodeName}` },
      {
        replaced: (pods) => {
          patience.abort();
          this.#refusal = '';
          this.#garbage.succeeded();
          held.clear();
          cache.replace(pods);
          this.#kept.replaceAll();
        },
        changed: (pod) => {
          const isNew = cache.get(podUidOf(pod)) === undefined && !isMirrorPod(pod);
          if (!held.hold(pod, isNew)) changed(pod);
        },
        removed: (pod) => {
          held.forget(pod);
          cache.remove(pod);
          this.#deps.statuses.forget(podUidOf(pod));
          this.#kept.remove(pod);
        },
        failed: (err) => {
          this.#rememberNow();
          if (statusOf(err) === 403) this.#refused(err);
          if (err instanceof ApiError && err.failure.code === 'garbage') this.#garbage.failed(errorText(err));
        },
      },
      this.#deps,
      signal,
    );
    await falling;
  }

  #refused(err: unknown): void {
    const first = this.#refusal === '';
    this.#refusal = errorText(err);
    if (first) this.#deps.log.warn({ err: errorText(err) }, 'pods of this node cannot be watched; those that run stay');
  }

  /** The server cannot be asked: its last word counts, and that a pod is missing in it means nothing. */
  #remember(): void {
    const { cache, lastKnown, log } = this.#deps;
    const pods = lastKnown.startingWith('Pod/') as Pod[];
    log.warn(
      { pods: pods.length },
      'the API server does not tell of the pods of this node; going on with the last known pods',
    );
    cache.remember(pods);
  }

  #repair(pod: Pod, signal: AbortSignal): void {
    if (isMirrorPod(pod)) return;
    this.#deps.statuses.repair(podUidOf(pod), signal).catch((err: unknown) => {
      if (!signal.aborted) this.#deps.log.warn({ err: errorText(err) }, 'pod status could not be written again');
    });
  }
}
