import { StateFile, type StateRead } from '../../../base/atomic-file.js';
import type { ContainerEntry } from './container-entry.js';
import type { Layout } from './layout.js';
import {
  containerRecordParser,
  recordVersion,
  sandboxRecordParser,
  type ContainerRecord,
  type SandboxRecord,
} from './records.js';

/**
 * Records survive a kill -9. They are not flushed: what they describe ends with a power cut. The exception is a container that
 * ended by itself, whose exit code is worth keeping.
 */
const unflushed = { flush: false } as const;

export class RecordStore {
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  async writeSandbox(record: SandboxRecord): Promise<void> {
    await this.#sandbox(record.id).write(record);
  }

  async readSandbox(id: string): Promise<StateRead<SandboxRecord>> {
    return await this.#sandbox(id).read();
  }

  async removeSandbox(id: string): Promise<void> {
    await this.#sandbox(id).remove();
  }

  /** The folder of the container must exist; it goes with the folder. */
  async writeContainer(entry: ContainerEntry, flush = false): Promise<void> {
    // The newest record is taken when the turn comes: two writers never put an older one over a newer one.
    const turn = entry.writing.then(async () => {
      const path = this.#layout.containerRecord(entry.id);
      const parse = containerRecordParser(entry.id);
      await new StateFile<ContainerRecord>(path, recordVersion, parse, { flush }).write(entry.record);
    });
    entry.writing = turn.catch(() => {});
    await turn;
  }

  async readContainer(id: string): Promise<StateRead<ContainerRecord>> {
    const path = this.#layout.containerRecord(id);
    return await new StateFile<ContainerRecord>(path, recordVersion, containerRecordParser(id), unflushed).read();
  }

  #sandbox(id: string): StateFile<SandboxRecord> {
    return new StateFile<SandboxRecord>(
      this.#layout.sandboxRecord(id),
      recordVersion,
      sandboxRecordParser(id),
      unflushed,
    );
  }
}
