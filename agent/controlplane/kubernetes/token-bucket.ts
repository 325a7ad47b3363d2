import type { Clock } from '../../../base/clock.js';

export interface TokenBucketOptions {
  readonly perSecond: number;
  readonly burst: number;
}

/** So many at once, then so many a second. */
export class TokenBucket {
  readonly #options: TokenBucketOptions;
  readonly #clock: Pick<Clock, 'now'>;
  #tokens: number;
  #at: number;

  constructor(options: TokenBucketOptions, clock: Pick<Clock, 'now'>) {
    this.#options = options;
    this.#clock = clock;
    this.#tokens = options.burst;
    this.#at = clock.now();
  }

  /** Takes one if there is one. */
  take(): boolean {
    this.#fill();
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** Takes one, on credit if need be; returns how long to wait for it. */
  waitMs(): number {
    this.#fill();
    this.#tokens--;
    return this.#tokens >= 0 ? 0 : Math.ceil((-this.#tokens / this.#options.perSecond) * 1000);
  }

  #fill(): void {
    const now = this.#clock.now();
    // A clock that was set back gives nothing and takes nothing.
    const gained = (Math.max(now - this.#at, 0) / 1000) * this.#options.perSecond;
    this.#tokens = Math.min(this.#tokens + gained, this.#options.burst);
    this.#at = now;
  }
}
