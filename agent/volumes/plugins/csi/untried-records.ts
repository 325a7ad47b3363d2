import { CsiError } from '../../../../csi/index.js';

/** The paths of which this run made a record before the first call of a driver, and no call succeeded since. */
export class UntriedRecords {
  readonly #paths = new Set<string>();

  add(path: string): void {
    this.#paths.add(path);
  }

  has(path: string): boolean {
    return this.#paths.has(path);
  }

  drop(path: string): void {
    this.#paths.delete(path);
  }

  /**
   * Calls a driver for something that `path` is the record of. What the driver refused for good before it ever did it is forgotten, as in the
   * kubelet: it may say "no such volume" when it is asked to undo it too, and the pod could never go.
   */
  async call<T>(path: string, work: () => Promise<T>, forget: () => Promise<void>): Promise<T> {
    try {
      const result = await work();
      this.#paths.delete(path);
      return result;
    } catch (err) {
      const refused = err instanceof CsiError && err.failure.certainty === 'final';
      if (refused && this.#paths.delete(path)) await forget();
      throw err;
    }
  }
}
