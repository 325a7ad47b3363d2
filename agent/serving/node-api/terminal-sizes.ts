import type { TerminalSize } from '../../../cri/index.js';

/** Terminal sizes as they come from the client; only the newest one counts when the reader is behind. */
export class TerminalSizes implements AsyncIterable<TerminalSize> {
  #next: TerminalSize | undefined;
  #ended = false;
  #wake = (): void => {};

  constructor(first: TerminalSize | undefined) {
    this.#next = first;
  }

  /** JSON of a size; anything else is left out, a wrong size is no reason to end a session. */
  give(payload: Buffer): void {
    const size = readSize(payload);
    if (!size) return;
    this.#next = size;
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<TerminalSize> {
    while (!this.#ended || this.#next) {
      const size = this.#next;
      this.#next = undefined;
      if (size) yield size;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

const largest = 65_535;

function readSize(payload: Buffer): TerminalSize | undefined {
  try {
    const { columns, rows } = JSON.parse(payload.toString('utf8')) as Partial<TerminalSize>;
    const fits = (number: unknown): number is number =>
      Number.isInteger(number) && Number(number) > 0 && Number(number) <= largest;
    return fits(columns) && fits(rows) ? { columns, rows } : undefined;
  } catch {
    return undefined;
  }
}
