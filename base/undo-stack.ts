/**
 * Undo beside each acquisition. Register right after a thing is taken; leaving the `await using` scope undoes in reverse
 * order unless `keep()` was called. One undo that fails does not keep the others from running; all failures are reported.
 */
export class UndoStack implements AsyncDisposable {
  #undos: Array<{ what: string; undo: () => Promise<void> | void }> = [];

  push(what: string, undo: () => Promise<void> | void): void {
    this.#undos.push({ what, undo });
  }

  /** Everything taken stays: called at the end of the happy path. */
  keep(): void {
    this.#undos = [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const failures: Error[] = [];
    for (const { what, undo } of this.#undos.toReversed()) {
      try {
        await undo();
      } catch (err) {
        failures.push(new Error(`undo ${what}`, { cause: err }));
      }
    }
    this.#undos = [];
    if (failures.length > 0) throw new AggregateError(failures, failures.map((f) => f.message).join('; '));
  }
}
