import { toRfc3339 } from '../../base/clock.js';

/** When each pod was first seen; forgets those that a source no longer holds. */
export class FirstSeen {
  #times = new Map<string, string>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  at(uid: string): string {
    const time = this.#times.get(uid) ?? toRfc3339(this.#now());
    this.#times.set(uid, time);
    return time;
  }

  keepOnly(uids: ReadonlySet<string>): void {
    this.#times = new Map([...this.#times].filter(([uid]) => uids.has(uid)));
  }
}
