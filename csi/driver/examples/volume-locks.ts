import { DriverError } from './driver-error.js';

/** One operation per volume at a time; a second one is told to come back, as the specification has it. */
export class VolumeLocks {
  readonly #busy = new Set<string>();

  async run<T>(volumeId: string, work: () => Promise<T>): Promise<T> {
    if (this.#busy.has(volumeId)) throw new DriverError('ABORTED', `an operation on volume ${volumeId} is pending`);
    this.#busy.add(volumeId);
    try {
      return await work();
    } finally {
      this.#busy.delete(volumeId);
    }
  }
}
