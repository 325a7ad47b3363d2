/**
 * Things with a life, ended in reverse order. Leaving the scope ends them; `release` hands them to a longer owner instead: what opening
 * half way leaves behind is nothing.
 */
export class Lifetimes implements AsyncDisposable {
  #owned: (AsyncDisposable | Disposable)[] = [];

  use<T extends AsyncDisposable | Disposable>(thing: T): T {
    this.#owned.push(thing);
    return thing;
  }

  release(): Lifetimes {
    const next = new Lifetimes();
    next.#owned = this.#owned;
    this.#owned = [];
    return next;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const owned = this.#owned.toReversed();
    this.#owned = [];
    const failures: unknown[] = [];
    for (const thing of owned) {
      try {
        if (Symbol.asyncDispose in thing) await thing[Symbol.asyncDispose]();
        else thing[Symbol.dispose]();
      } catch (err) {
        failures.push(err);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, 'several parts of the agent could not be ended');
  }
}
