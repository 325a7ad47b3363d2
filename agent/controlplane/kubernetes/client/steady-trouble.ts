import type { Clock } from '../../../../base/clock.js';

/** Trouble that came back so often, within this time, comes and goes. */
const often = { times: 2, withinMs: 30_000 };
/** Longer than the longest pause between two tries (see the reflector's retry): trouble that is silent for so long is over. */
const silentMs = 20_000;
/** After so long without any answer one of them is news, also while trouble comes and goes. */
const awayMs = 5000;
/** Of trouble that comes and goes the first words stay, unless others are all that is heard, or they are not heard any more for so long. */
const stale = { others: 3, afterMs: 10_000 };

/**
 * What is wrong with something that is used again and again. It is over with the first success; but trouble that comes and goes is told
 * as long as it does, in the same words, so that who reads of it does not see it flicker, and those who wait are not woken each time.
 */
export class SteadyTrouble {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #fades: boolean;
  #words = '';
  #failedAt = 0;
  /** When these words were heard last. */
  #heardAt = 0;
  #succeededAt = 0;
  #inARow = 0;
  #flickers = false;
  /** When it was over, lately. */
  #ends: number[] = [];

  /** `fades`: success is not always heard of, and silence means it. */
  constructor(clock: Pick<Clock, 'now'>, { fades = false } = {}) {
    this.#clock = clock;
    this.#fades = fades;
  }

  /** Empty while all is well. */
  get words(): string {
    if ((this.#flickers || this.#fades) && this.#since(this.#failedAt) >= silentMs) this.#end();
    return this.#words;
  }

  failed(words: string): void {
    const before = this.words;
    this.#ends = this.#ends.filter((at) => this.#since(at) < often.withinMs);
    this.#flickers = this.#ends.length >= often.times;
    this.#failedAt = this.#clock.now();
    this.#inARow++;
    const isStale = this.#inARow >= stale.others || this.#since(this.#heardAt) >= stale.afterMs;
    if (words !== before && before !== '' && this.#flickers && !isStale) return;
    this.#words = words;
    this.#heardAt = this.#failedAt;
  }

  /** True when that is news: those who wait for it may go on. */
  succeeded(): boolean {
    const wasTrouble = this.words !== '';
    const wasAway = this.#inARow > 0 && this.#since(this.#succeededAt) >= awayMs;
    this.#succeededAt = this.#clock.now();
    this.#inARow = 0;
    if (!wasTrouble) return false;
    this.#ends.push(this.#clock.now());
    if (this.#ends.length > 2 * often.times) this.#ends.shift();
    if (this.#flickers) return wasAway;
    this.#end();
    return true;
  }

  #end(): void {
    this.#words = '';
    this.#flickers = false;
  }

  /** A clock that was set back must not keep it for ever. */
  #since(at: number): number {
    return Math.abs(this.#clock.now() - at);
  }
}
