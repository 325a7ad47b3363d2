import type { Clock } from '../../../../base/clock.js';

interface Entry<T> {
  readonly value: T;
  readonly at: number;
}

export interface ExpiringCacheOptions<T> {
  readonly maxEntries: number;
  /** How long a value may be used. */
  lifetimeMs(value: T): number;
}

/** Answers that may be used for a while. Callers for one key share a question; a failure is not remembered. */
export class ExpiringCache<T> {
  readonly #options: ExpiringCacheOptions<T>;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry<T>>();
  readonly #asked = new Map<string, Promise<T>>();

  constructor(options: ExpiringCacheOptions<T>, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  async get(key: string, ask: () => Promise<T>): Promise<T> {
    const known = this.#entries.get(key);
    if (known) {
      const age = this.#clock.now() - known.at;
      // A clock that was set back makes nothing live longer.
      if (age >= 0 && age < this.#options.lifetimeMs(known.value)) return known.value;
      this.#entries.delete(key);
    }
    const asked = this.#asked.get(key) ?? this.#ask(key, ask);
    return await asked;
  }

  #ask(key: string, ask: () => Promise<T>): Promise<T> {
    const answer = ask()
      .then((value) => {
        this.#entries.set(key, { value, at: this.#clock.now() });
        if (this.#entries.size > this.#options.maxEntries)
          this.#entries.delete(this.#entries.keys().next().value as string);
        return value;
      })
      .finally(() => this.#asked.delete(key));
    this.#asked.set(key, answer);
    return answer;
  }
}
