import type { Clock } from '../../base/clock.js';
import type { PodUid } from '../api/index.js';

/** A machine that slept, or whose clock was set, has missed what its timers were to do. */
const longestMs = 60_000;

/** One timer for all pods whose volumes age: it stands on the next one that is due. */
export class RefreshTimer implements Disposable {
  readonly #clock: Clock;
  readonly #onDue: (uid: PodUid) => void;
  readonly #due = new Map<PodUid, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(clock: Clock, onDue: (uid: PodUid) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Replaces the pod's time; undefined takes it off. */
  set(uid: PodUid, at: number | undefined): void {
    const had = this.#due.get(uid);
    if (had === at) return;
    if (at === undefined) this.#due.delete(uid);
    else this.#due.set(uid, at);
    this.#arm();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#due.clear();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#due.size === 0) return;
    const next = Math.min(...this.#due.values());
    const delay = Math.min(Math.max(next - this.#clock.now(), 0), longestMs);
    this.#timer = setTimeout(() => this.#fire(), delay);
    this.#timer.unref();
  }

  #fire(): void {
    const now = this.#clock.now();
    for (const [uid, at] of this.#due) {
      if (at > now) continue;
      this.#due.delete(uid);
      this.#onDue(uid);
    }
    this.#arm();
  }
}
