import type { RuntimeService } from '../../cri/index.js';
import type { Clock } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { PodUid } from '../api/index.js';
import type { ObservedContainer, RuntimeFacts } from '../podloop/pod-facts.js';
import { planContainerRemoval, type ContainerPolicy, type DeadContainer, type PodLife } from './container-policy.js';

export interface ContainerCollectorDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly runtime: Pick<RuntimeService, 'removeContainer'>;
  /** What each pod's loop last saw; no call of the runtime. */
  pods(): Iterable<{ readonly uid: PodUid; readonly life: PodLife; readonly seen: RuntimeFacts }>;
  removeLogs(container: ObservedContainer): Promise<void>;
  /** A container of the pod is gone: its loop reads the runtime again. */
  changed(uid: PodUid): void;
}

/** Removes dead containers beyond what is kept. Each pod's loop keeps its own history short; this is for the node as a whole. */
export class ContainerCollector {
  readonly #policy: ContainerPolicy;
  readonly #deps: ContainerCollectorDeps;

  constructor(policy: ContainerPolicy, deps: ContainerCollectorDeps) {
    this.#policy = policy;
    this.#deps = deps;
  }

  /** Resolves with the number of containers removed. */
  async collect(options: { readonly endedPodsToo: boolean }, signal: AbortSignal): Promise<number> {
    const { clock, log, runtime } = this.#deps;
    const containers = new Map<string, ObservedContainer>();
    const lives = new Map<string, PodLife>();
    const dead: DeadContainer[] = [];
    for (const { uid, life, seen } of this.#deps.pods()) {
      lives.set(uid, life);
      for (const container of seen.containers) {
        if (container.state !== 'exited') continue;
        containers.set(container.id, container);
        dead.push({ id: container.id, podUid: uid, name: container.name, createdAt: container.createdAt });
      }
    }
    const lifeOf = (uid: string): PodLife => lives.get(uid) ?? 'absent';
    const removals = planContainerRemoval(dead, lifeOf, this.#policy, clock.now(), options.endedPodsToo);
    let removed = 0;
    for (const { container, why } of removals) {
      try {
        await runtime.removeContainer({ containerId: container.id }, signal);
        const seen = containers.get(container.id);
        if (seen) await this.#deps.removeLogs(seen);
        removed++;
        log.info(
          { podUid: container.podUid, container: container.name, containerId: container.id, why },
          'dead container removed',
        );
      } catch (err) {
        signal.throwIfAborted();
        log.warn({ containerId: container.id, err: errorText(err) }, 'dead container could not be removed');
      }
      this.#deps.changed(container.podUid as PodUid);
    }
    return removed;
  }
}
