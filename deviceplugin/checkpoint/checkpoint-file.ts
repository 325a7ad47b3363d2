import { rename } from 'node:fs/promises';
import { readIfPresent, writeFileAtomic } from '../../base/atomic-file.js';
import { errorText } from '../../base/errors.js';
import { formatCheckpoint, parseCheckpoint, type CheckpointData, type ReadCheckpoint } from './checkpoint-format.js';
import type { ResponseCodec } from './response-codec.js';

export type CheckpointRead =
  | ({ readonly kind: 'read' } & ReadCheckpoint)
  | { readonly kind: 'missing' }
  | { readonly kind: 'set-aside'; readonly reason: string; readonly movedTo: string };

/** The kubelet's device checkpoint; the codec is loaded when there is something to read or write. Writes that come while one runs are done together in the next. */
export class CheckpointFile {
  readonly path: string;
  readonly #codec: () => Promise<ResponseCodec>;
  readonly #snapshot: () => CheckpointData;
  #queued: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(path: string, codec: () => Promise<ResponseCodec>, snapshot: () => CheckpointData) {
    this.path = path;
    this.#codec = codec;
    this.#snapshot = snapshot;
  }

  async read(now: number): Promise<CheckpointRead> {
    const text = await readIfPresent(this.path);
    if (text === undefined) return { kind: 'missing' };
    const codec = await this.#codec();
    try {
      return { kind: 'read', ...parseCheckpoint(text, codec) };
    } catch (err) {
      const movedTo = `${this.path}.corrupt-${now}`;
      await rename(this.path, movedTo);
      return { kind: 'set-aside', reason: errorText(err), movedTo };
    }
  }

  /** Resolves when what is true now is on the disk; what changes meanwhile may be there too. */
  save(): Promise<void> {
    this.#queued ??= this.#enqueue();
    return this.#queued;
  }

  /** Resolves when no write runs. */
  async idle(): Promise<void> {
    await this.#last.catch(() => {});
  }

  #enqueue(): Promise<void> {
    const write = this.#last
      .catch(() => {})
      .then(async () => {
        const codec = await this.#codec();
        this.#queued = undefined;
        // Taken here and not by the caller: one write serves all who wait for it.
        await writeFileAtomic(this.path, formatCheckpoint(this.#snapshot(), codec));
      });
    this.#last = write;
    return write;
  }
}
