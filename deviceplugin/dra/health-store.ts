import { readIfPresent, writeFileAtomic } from '../../base/atomic-file.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { formatHealth } from './format-health.js';
import type { HealthTable } from './health-table.js';

/** News that only says again what is known is written this often: it keeps it from growing old over a restart. */
const renewAfterMs = 10_000;

/**
 * What drivers said of their devices, kept over a restart in the kubelet's file: a device that was broken before is not of unknown health
 * until its driver speaks again. Nothing depends on the file: one that cannot be read or written is only said.
 */
export class HealthStore {
  readonly #path: string;
  readonly #table: HealthTable;
  readonly #log: Logger;
  #writtenAt = 0;

  constructor(path: string, table: HealthTable, log: Logger) {
    this.#path = path;
    this.#table = table;
    this.#log = log;
  }

  async load(): Promise<void> {
    try {
      const text = await readIfPresent(this.#path);
      if (text === undefined) return;
      const { parseHealth } = await import('./health-file.js');
      this.#table.restore(parseHealth(text));
    } catch (err) {
      this.#log.warn({ err: errorText(err), path: this.#path }, 'health of DRA devices of before not read');
    }
  }

  /** After a report; `changed` where it brought news. */
  save(changed: boolean, now: number): void {
    if (!changed && now - this.#writtenAt < renewAfterMs) return;
    this.#writtenAt = now;
    // Unflushed writes are done before the call returns: they cannot overtake one another.
    writeFileAtomic(this.#path, formatHealth(this.#table.all()), { flush: false }).catch((err: unknown) => {
      this.#log.warn({ err: errorText(err), path: this.#path }, 'health of DRA devices not written');
    });
  }
}
