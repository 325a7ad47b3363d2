import type { RuntimeService } from '../../cri/index.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { PodUid } from '../api/index.js';
import type { RuntimeObserver } from '../observe/runtime-observer.js';
import type { RuntimeFacts } from '../podloop/pod-facts.js';
import type { PodLoops } from '../podloop/pod-loops.js';
import type { ProbeManager } from '../probes/probe-manager.js';
import { RuntimeHealthWatch, type RuntimeHealth } from '../runtimes/runtime-health.js';
import { watchRuntimeEvents } from '../runtimes/watch-events.js';
import type { VolumeManager } from '../volumes/volume-manager.js';
import type { DesiredPods } from './desired-pods.js';
import type { PodSources } from './pod-sources.js';
import type { PodStatuses } from './pod-statuses.js';

export interface WorldWatchDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly runtime: RuntimeService;
  /** Patience of ordinary calls to the runtime, ms. */
  readonly requestTimeoutMs?: number | undefined;
  readonly observer: RuntimeObserver;
  readonly loops: PodLoops;
  readonly desired: DesiredPods;
  readonly statuses: Pick<PodStatuses, 'doubtAll'>;
  readonly sources: PodSources;
  readonly volumes: Pick<VolumeManager, 'onChange'>;
  readonly probes: Pick<ProbeManager, 'onChange'>;
  /** Calls back when the network's configuration changed; absent where the runtime has a network of its own. */
  readonly onNetworkChange?: ((listener: () => void) => () => void) | undefined;
  /** Whatever may still hold something of pods of earlier runs. */
  readonly traces: readonly { present(signal: AbortSignal): Promise<readonly PodUid[]> }[];
}

/** What a change of volumes may have unblocked. */
const volumeSteps = new Set(['mount-volumes', 'unmount-volumes'] as const);

const orphanRetryMs = 3000;

/** Looks at one pod at a time, so that drift nobody announced is found without a relist. */
const rollingCheckMs = 3000;

/**
 * Turns what happens outside into wake-ups of pod loops: runtime events, probe results, volume changes, the network coming back. Finds
 * pods that nobody wants any more and gives them a loop, which ends them.
 */
export class WorldWatch implements AsyncDisposable {
  readonly #deps: WorldWatchDeps;
  readonly #stop = new AbortController();
  readonly #health: RuntimeHealthWatch;
  readonly #running = new Set<Promise<void>>();
  readonly #subscriptions: Disposable[] = [];
  readonly #healthListeners = new Set<(uid?: PodUid) => void>();
  #orphansSought = false;
  #sayTidy = (): void => {};
  /** Resolves when what earlier runs left of pods nobody wants any more has been found and is gone. */
  readonly tidy = new Promise<void>((resolve) => (this.#sayTidy = resolve));

  constructor(deps: WorldWatchDeps) {
    this.#deps = deps;
    this.#health = new RuntimeHealthWatch({
      clock: deps.clock,
      runtime: deps.runtime,
      requestTimeoutMs: deps.requestTimeoutMs,
      changed: (health, before) => this.#healthChanged(health, before),
    });
  }

  get health(): RuntimeHealth {
    return this.#health.current;
  }

  /** Calls back with no pod when the health changed, and with one that could not be looked at because of it. */
  onHealthChange(listener: (uid?: PodUid) => void): Disposable {
    this.#healthListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#healthListeners.delete(listener) };
  }

  /** What the runtime says of a pod; a failure to say is a reason to ask how the runtime itself is. */
  async observe(uid: PodUid, signal: AbortSignal): Promise<RuntimeFacts> {
    try {
      return await this.#deps.observer.observe(uid, signal);
    } catch (err) {
      signal.throwIfAborted();
      if (this.health.ready) this.#run('look at the runtime', this.#health.check(this.#stop.signal));
      else for (const listener of this.#healthListeners) listener(uid);
      throw err;
    }
  }

  /** The first look at the runtime, before anything is decided. */
  async open(signal: AbortSignal): Promise<void> {
    await this.#health.check(signal);
  }

  start(): void {
    const { loops, observer, volumes, probes, clock, log, runtime } = this.#deps;
    const { signal } = this.#stop;
    const wake = (uid: PodUid): void => loops.wakeKnown(uid);
    this.#subscriptions.push(
      volumes.onChange((uid) => loops.retryKinds(uid, volumeSteps)),
      probes.onChange(wake),
    );
    const unsubscribe = this.#deps.onNetworkChange?.(() => this.#networkChanged());
    if (unsubscribe) this.#subscriptions.push({ [Symbol.dispose]: unsubscribe });
    this.#run(
      'runtime events',
      watchRuntimeEvents(
        {
          clock,
          log,
          runtime,
          changed: (uid, change, news) => {
            if (observer.tell(uid, change) && news) wake(uid);
          },
          missed: () => {
            observer.invalidateAll();
            loops.wakeAll();
          },
          relist: async (asked) => {
            for (const uid of await observer.relist(asked)) wake(uid);
          },
          cut: () => this.#run('look at the runtime', this.#health.check(signal)),
        },
        signal,
      ),
    );
    this.#run('runtime health', this.#health.run(signal));
    this.#run('rolling check', this.#rollingCheck(signal));
  }

  /** Applies a new set of pods; after the first complete one, what nobody wants is sought once. */
  apply(change: () => void): void {
    change();
    if (this.#orphansSought || !this.#deps.sources.synced) return;
    this.#orphansSought = true;
    this.#run('search for orphans', this.#seekOrphans(this.#stop.signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('the agent stops', 'AbortError'));
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
    await Promise.all(this.#running);
  }

  /** Pods of earlier runs that left something: containers, a cgroup, a folder, logs. A loop without a desired pod ends them. */
  async #seekOrphans(signal: AbortSignal): Promise<void> {
    const { traces, desired, loops } = this.#deps;
    const found = await Promise.all(traces.map((trace) => trace.present(signal)));
    const left = new Set([...(await this.#uidsInRuntime(signal)), ...found.flat()]);
    const orphans = [...left].filter((uid) => !desired.get(uid));
    for (const uid of orphans) loops.wake(uid);
    await Promise.all(orphans.map((uid) => loops.ended(uid)));
    this.#sayTidy();
  }

  /** Until the runtime says; what is left of earlier runs must not stay because it was away at the start. */
  async #uidsInRuntime(signal: AbortSignal): Promise<ReadonlySet<PodUid>> {
    const { clock, log, observer } = this.#deps;
    while (true) {
      try {
        return await observer.podUids(signal);
      } catch (err) {
        signal.throwIfAborted();
        log.warn({ err: errorText(err), retryInMs: orphanRetryMs }, 'pods in the runtime cannot be listed');
        await clock.sleep(orphanRetryMs, signal);
      }
    }
  }

  async #rollingCheck(signal: AbortSignal): Promise<void> {
    const { clock, loops, observer } = this.#deps;
    let next = 0;
    while (!signal.aborted) {
      await clock.sleep(rollingCheckMs, signal);
      const uids = loops.uids();
      const uid = uids[next++ % Math.max(uids.length, 1)];
      if (uid === undefined) continue;
      observer.invalidate(uid);
      loops.wakeKnown(uid);
    }
  }

  /** Also a network that was ready may work now where it did not: pods that failed in it are tried again. */
  #networkChanged(): void {
    const { loops } = this.#deps;
    this.#run(
      'look at the network',
      this.#health.check(this.#stop.signal).then(() => {
        for (const uid of loops.uids()) loops.retryNow(uid);
      }),
    );
  }

  #healthChanged(health: RuntimeHealth, before: RuntimeHealth): void {
    const { log, loops, observer } = this.#deps;
    log.info(
      { ready: health.ready, network: health.network.ready, reason: health.message || health.network.message },
      'runtime condition changed',
    );
    if (!before.ready && health.ready) {
      observer.invalidateAll();
      if (before.trouble) this.#deps.statuses.doubtAll(before.trouble.since);
    }
    const better = (!before.ready && health.ready) || (!before.network.ready && health.network.ready);
    if (better) for (const uid of loops.uids()) loops.retryNow(uid);
    else loops.wakeAll();
    for (const listener of this.#healthListeners) listener();
  }

  #run(what: string, work: Promise<void>): void {
    const running = work
      .catch((err: unknown) => {
        if (!this.#stop.signal.aborted)
          this.#deps.log.error({ what, err: errorText(err) }, 'a watch of the agent ended');
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }
}
