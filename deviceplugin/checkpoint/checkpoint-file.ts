import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { readIfPresent, writeFileAtomic } from '../../base/atomic-file.js';
import { errorText } from '../../base/errors.js';
import { CheckpointFormatter, parseCheckpoint, type CheckpointData, type ReadCheckpoint } from './checkpoint-format.js';
import { SwapFile } from './swap-file.js';
import type { ResponseCodec } from './response-codec.js';

export type CheckpointRead =
  | ({ readonly kind: 'read' } & ReadCheckpoint)
  | { readonly kind: 'missing' }
  /** The file could not be read, its copy could. */
  | ({ readonly kind: 'copy'; readonly reason: string; readonly movedTo: string } & ReadCheckpoint)
  | { readonly kind: 'set-aside'; readonly reason: string; readonly movedTo: string };

/** How long a write may wait for the disk: what comes meanwhile goes with it. */
const flushAfterMs = 100;

/**
 * The kubelet's device checkpoint; the codec is loaded when there is something to read or write. Writes that come while one runs are done
 * together in the next. A write outlives a kill of the agent at once, and a power cut a moment later: that one ends every pod whose
 * devices are in it, and waiting for the disk twice would take most of the time of an allocation. A copy follows a moment later: without
 * either, nobody could say which devices the pods that run hold.
 */
export class CheckpointFile {
  readonly path: string;
  readonly #codec: () => Promise<ResponseCodec>;
  readonly #snapshot: () => CheckpointData;
  readonly #file: SwapFile;
  #formatter: CheckpointFormatter | undefined;
  #queued: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();
  #flushTimer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();
  #written = '';

  constructor(path: string, codec: () => Promise<ResponseCodec>, snapshot: () => CheckpointData) {
    this.path = path;
    this.#file = new SwapFile(path);
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
      const aside = { reason: errorText(err), movedTo };
      const copy = await this.#readCopy(codec);
      return copy === undefined ? { kind: 'set-aside', ...aside } : { kind: 'copy', ...aside, ...copy };
    }
  }

  /** Resolves when what is true now is written; what changes meanwhile may be there too. */
  save(): Promise<void> {
    this.#queued ??= this.#enqueue();
    return this.#queued;
  }

  /** Resolves when nothing is being written and all that was is on the disk. */
  async idle(): Promise<void> {
    await this.#last.catch(() => {});
    if (this.#flushTimer !== undefined) this.#flush();
    await this.#flushing;
  }

  #enqueue(): Promise<void> {
    const write = this.#last
      .catch(() => {})
      .then(async () => {
        const codec = await this.#codec();
        this.#queued = undefined;
        // Taken here and not by the caller: one write serves all who wait for it.
        this.#formatter ??= new CheckpointFormatter(codec);
        const text = this.#formatter.format(this.#snapshot());
        await this.#file.write(text);
        this.#written = text;
        this.#flushTimer ??= setTimeout(() => this.#flush(), flushAfterMs);
      });
    this.#last = write;
    return write;
  }

  get #copyPath(): string {
    return `${this.path}.copy`;
  }

  async #readCopy(codec: ResponseCodec): Promise<ReadCheckpoint | undefined> {
    const text = await readIfPresent(this.#copyPath);
    if (text === undefined) return undefined;
    try {
      return parseCheckpoint(text, codec);
    } catch {
      return undefined;
    }
  }

  #flush(): void {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    this.#flushing = this.#flushing.then(async () => {
      // A disk that cannot do it says so at the next write too.
      for (const path of [this.path, dirname(this.path)]) await flushed(path).catch(() => {});
      await writeFileAtomic(this.#copyPath, this.#written).catch(() => {});
    });
  }
}

async function flushed(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
