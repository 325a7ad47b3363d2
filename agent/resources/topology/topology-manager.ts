import { BerthError } from '../../../base/errors.js';
import { allContainers, podUidOf, type Pod, type PodUid } from '../../api/index.js';
import type { HintProvider } from './hints.js';
import { mergeHints, type MergeOptions } from './merge-hints.js';

export interface TopologyManagerOptions extends MergeOptions {
  readonly scope: 'container' | 'pod';
}

export class TopologyError extends BerthError<{ code: 'topology-affinity' | 'bad-options' }> {}

/**
 * Asks every provider where a container's CPUs, memory and devices could come from, and settles on one set of NUMA nodes for all of
 * them; providers ask for it when they allocate.
 */
export class TopologyManager {
  readonly #options: TopologyManagerOptions;
  readonly #providers: readonly HintProvider<Pod>[];
  readonly #settled = new Map<PodUid, Map<string, readonly number[] | undefined>>();

  constructor(options: TopologyManagerOptions, providers: readonly HintProvider<Pod>[]) {
    this.#options = options;
    this.#providers = providers;
  }

  /**
   * Settles the container's nodes, after those before it were allocated. Throws `TopologyError` when the policy does not take the pod
   * (`TopologyAffinityError`).
   */
  settle(pod: Pod, container: string): readonly number[] | undefined {
    const uid = podUidOf(pod);
    const own = this.#settled.get(uid) ?? new Map<string, readonly number[] | undefined>();
    this.#settled.set(uid, own);
    const asked = this.#options.scope === 'pod' ? undefined : container;
    // In pod scope the first container's answer is everybody's.
    const first = asked === undefined ? [...own.values()][0] : undefined;
    if (first !== undefined) {
      own.set(container, first);
      return first;
    }
    const { numaNodes, admit } = mergeHints(
      this.#providers.map((provider) => provider.hints(pod, asked)),
      this.#options,
    );
    if (!admit) {
      throw new TopologyError('Resources cannot be allocated with Topology locality', { code: 'topology-affinity' });
    }
    own.set(container, numaNodes);
    return numaNodes;
  }

  /** Settles every container in order; `allocate` is called for each before the next. */
  settleAll(pod: Pod, allocate: (container: string, numaNodes: readonly number[] | undefined) => void): void {
    try {
      for (const { container, kind } of allContainers(pod))
        if (kind !== 'ephemeral') allocate(container.name, this.settle(pod, container.name));
    } catch (err) {
      this.release(podUidOf(pod));
      throw err;
    }
  }

  affinity(uid: PodUid, container: string): readonly number[] | undefined {
    return this.#settled.get(uid)?.get(container);
  }

  release(uid: PodUid): void {
    this.#settled.delete(uid);
  }
}
