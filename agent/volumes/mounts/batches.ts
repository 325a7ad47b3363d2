interface Waiting<T> {
  readonly items: readonly T[];
  settle(error: Error | undefined): void;
}

/** Most items in one go: an argument list and a bad entry's blast radius stay small. */
const mostItems = 128;

/** Runs one piece of work at a time; what is submitted meanwhile goes together into the next one. */
export class Batches<T> {
  readonly #work: (groups: readonly (readonly T[])[]) => Promise<readonly (Error | undefined)[]>;
  #waiting: Waiting<T>[] = [];
  #running = false;

  /** `work` answers for each group in order: undefined for a success. */
  constructor(work: (groups: readonly (readonly T[])[]) => Promise<readonly (Error | undefined)[]>) {
    this.#work = work;
  }

  async submit(items: readonly T[]): Promise<void> {
    const done = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ items, settle: (error) => (error ? reject(error) : resolve()) });
    });
    if (!this.#running) void this.#drain();
    await done;
  }

  async #drain(): Promise<void> {
    this.#running = true;
    while (this.#waiting.length > 0) {
      const batch = this.#next();
      try {
        const errors = await this.#work(batch.map(({ items }) => items));
        batch.forEach((waiting, index) => waiting.settle(errors[index]));
      } catch (err) {
        for (const waiting of batch) waiting.settle(err instanceof Error ? err : new Error(String(err)));
      }
    }
    this.#running = false;
  }

  #next(): Waiting<T>[] {
    let count = 0;
    const end = this.#waiting.findIndex(({ items }) => (count += items.length) > mostItems);
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : Math.max(end, 1));
  }
}
