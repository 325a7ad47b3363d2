import type { Readable, Writable } from 'node:stream';

/** A background process of the command may hold its output open for ever: read on only while something comes. */
export const outputIdleMs = 250;

/** How often it is looked whether held output is the command's. */
const lookMs = 5;
/** No OCI runtime says more of a command that it cannot start. */
const mostHeldBytes = 65_536;

/** One output stream: handed over with back pressure, and known when nothing more comes. */
export class CommandOutput {
  readonly #source: Readable | null;
  readonly #sink: Writable | undefined;
  readonly #commandRuns: () => boolean;
  /** What may be the words of the OCI runtime, which shares the stream with the command until that runs. */
  #held: Buffer[] | undefined;
  #look: NodeJS.Timeout | undefined;
  #ended: boolean;
  #blocked = false;
  #lastAt = performance.now();
  #wake: () => void = () => {};

  /** With `commandRuns` what comes before it answers true is held back until it does, or until the end says whose it was. */
  constructor(source: Readable | null, sink: Writable | undefined, commandRuns?: () => boolean) {
    this.#source = source;
    this.#sink = sink;
    this.#commandRuns = commandRuns ?? (() => true);
    this.#held = commandRuns === undefined ? undefined : [];
    this.#ended = source === null || sink === undefined;
    if (source === null || sink === undefined) return;
    const onClosed = (): void => this.#giveUp();
    sink.once('close', onClosed);
    sink.once('error', onClosed);
    source.on('error', () => {});
    source.on('data', (chunk: Buffer) => {
      this.#lastAt = performance.now();
      if (this.#held === undefined) return this.#hand(chunk);
      this.#held.push(chunk);
      this.#releaseOrLook();
    });
    source.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  #hand(chunk: Buffer): void {
    const sink = this.#sink;
    if (sink === undefined || sink.destroyed || sink.write(chunk)) return;
    this.#blocked = true;
    this.#source?.pause();
    sink.once('drain', () => {
      this.#blocked = false;
      this.#lastAt = performance.now();
      this.#source?.resume();
    });
  }

  #releaseOrLook(): void {
    const bytes = this.#held?.reduce((total, chunk) => total + chunk.length, 0) ?? 0;
    if (bytes > mostHeldBytes || this.#commandRuns()) return this.#release();
    this.#look ??= setTimeout(() => {
      this.#look = undefined;
      if (this.#held !== undefined) this.#releaseOrLook();
    }, lookMs);
  }

  #release(): void {
    const held = Buffer.concat(this.#held ?? []);
    this.#held = undefined;
    clearTimeout(this.#look);
    if (held.length > 0) this.#hand(held);
  }

  /** The command never ran: nothing of this was its output. */
  discard(): void {
    clearTimeout(this.#look);
    this.#source?.destroy();
  }

  /** A client that went away: the rest is read and dropped, so that the command is not held up. */
  #giveUp(): void {
    this.#blocked = false;
    this.#source?.resume();
  }

  /** To be called when the command ended: what it printed in time may not have been read yet, however long it ran. */
  async finish(signal: AbortSignal): Promise<void> {
    this.#release();
    this.#lastAt = performance.now();
    while (!this.#ended && !signal.aborted) {
      const idle = performance.now() - this.#lastAt;
      if (!this.#blocked && idle >= outputIdleMs) break;
      await new Promise<void>((resolve) => {
        // After a process stood still the timer comes first, and what waits to be read right after it.
        const timer = setTimeout(() => setImmediate(resolve), Math.max(1, outputIdleMs - (this.#blocked ? 0 : idle)));
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#source?.destroy();
    await flushed(this.#sink, signal);
  }
}

/** Resolves when what was written has left the sink's own buffer. */
async function flushed(sink: Writable | undefined, signal: AbortSignal): Promise<void> {
  if (sink === undefined) return;
  while (!sink.destroyed && sink.writableNeedDrain && !signal.aborted) {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, outputIdleMs);
      sink.once('drain', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
