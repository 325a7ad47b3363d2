import type { Clock } from '../../base/clock.js';
import { FifoLimit } from '../../base/fifo-limit.js';
import { TokenBucket } from '../controlplane/kubernetes/token-bucket.js';

export interface PullPaceOptions {
  /** Pulls at once. */
  readonly parallel: number;
  /** How many a second may begin (`registryPullQPS`, `registryBurst`); undefined for no limit. */
  readonly rate?: { readonly perSecond: number; readonly burst: number } | undefined;
}

/** Lets pulls begin in the order they came, so many at once and so many a second. Waiting is told, never an error. */
export class PullPace {
  readonly #options: PullPaceOptions;
  readonly #clock: Clock;
  readonly #places: FifoLimit;
  readonly #bucket: TokenBucket | undefined;

  constructor(options: PullPaceOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#places = new FifoLimit(options.parallel);
    this.#bucket = options.rate && new TokenBucket(options.rate, clock);
  }

  async run<T>(work: () => Promise<T>, progress: (text: string) => void, signal: AbortSignal): Promise<T> {
    const { parallel, rate } = this.#options;
    progress(`waiting for its turn: ${parallel} image${parallel === 1 ? ' is' : 's are'} pulled at once`);
    return this.#places.run(async () => {
      const waitMs = this.#bucket?.waitMs() ?? 0;
      if (waitMs > 0) {
        progress(`waiting: registryPullQPS lets ${rate?.perSecond} pulls begin a second`);
        await this.#clock.sleep(waitMs, signal);
      }
      return work();
    }, signal);
  }
}
