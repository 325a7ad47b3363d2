export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Doubling delays with jitter, so that the nodes of a cluster do not come back in one moment. */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: () => number;
  #failures = 0;

  constructor(options: BackoffOptions, random: () => number = Math.random) {
    this.#options = options;
    this.#random = random;
  }

  get failures(): number {
    return this.#failures;
  }

  /** How long to wait after one more failure: half to all of the doubled delay. */
  next(): number {
    const { firstMs, maxMs } = this.#options;
    const full = Math.min(firstMs * 2 ** Math.min(this.#failures++, 30), maxMs);
    return Math.round(full * (0.5 + this.#random() / 2));
  }

  reset(): void {
    this.#failures = 0;
  }
}
