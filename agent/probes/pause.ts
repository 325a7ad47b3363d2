import type { Clock } from '../../base/clock.js';
import { linkSignal } from '../../base/signals.js';

/** A sleep that someone else can cut short; a cut that finds nobody asleep ends the next sleep at once. */
export class Pause {
  readonly #clock: Clock;
  #wake: (() => void) | undefined;
  #isCut = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#takeCut()) return;
    using link = linkSignal(signal);
    this.#wake = () => link.abort(new DOMException('the pause was cut short', 'AbortError'));
    try {
      await this.#clock.sleep(ms, link.signal);
    } catch (err) {
      signal.throwIfAborted();
      if (!link.signal.aborted) throw err;
    } finally {
      this.#wake = undefined;
    }
  }

  cut(): void {
    if (this.#wake) this.#wake();
    else this.#isCut = true;
  }

  #takeCut(): boolean {
    const cut = this.#isCut;
    this.#isCut = false;
    return cut;
  }
}
