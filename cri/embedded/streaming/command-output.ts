import type { Readable, Writable } from 'node:stream';

/** A background process of the command may hold its output open for ever: read on only while something comes. */
export const outputIdleMs = 250;

/** One output stream: handed over with back pressure, and known when nothing more comes. */
export class CommandOutput {
  readonly #source: Readable | null;
  readonly #sink: Writable | undefined;
  #ended: boolean;
  #blocked = false;
  #lastAt = performance.now();
  #wake: () => void = () => {};

  constructor(source: Readable | null, sink: Writable | undefined) {
    this.#source = source;
    this.#sink = sink;
    this.#ended = source === null || sink === undefined;
    if (source === null || sink === undefined) return;
    const onClosed = (): void => this.#giveUp();
    sink.once('close', onClosed);
    sink.once('error', onClosed);
    source.on('error', () => {});
    source.on('data', (chunk: Buffer) => {
      this.#lastAt = performance.now();
      if (sink.destroyed || sink.write(chunk)) return;
      this.#blocked = true;
      source.pause();
      sink.once('drain', () => {
        this.#blocked = false;
        this.#lastAt = performance.now();
        source.resume();
      });
    });
    source.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** A client that went away: the rest is read and dropped, so that the command is not held up. */
  #giveUp(): void {
    this.#blocked = false;
    this.#source?.resume();
  }

  /** To be called when the command ended: what it printed in time may not have been read yet, however long it ran. */
  async finish(signal: AbortSignal): Promise<void> {
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
