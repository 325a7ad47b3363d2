const newline = 0x0a;
/** A line that long is no log line; it is cut so that memory stays bounded. */
const longestLine = 1024 * 1024;

/** Cuts bytes into lines; what has no end yet is kept for the next piece. */
export class LineSplitter {
  #held: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Buffer[] {
    let rest = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const lines: Buffer[] = [];
    let end = rest.indexOf(newline);
    while (end >= 0) {
      lines.push(rest.subarray(0, end));
      rest = rest.subarray(end + 1);
      end = rest.indexOf(newline);
    }
    if (rest.length > longestLine) {
      lines.push(rest);
      rest = Buffer.alloc(0);
    }
    // A copy, so that a short rest does not keep a large piece alive.
    this.#held = Buffer.from(rest);
    return lines;
  }

  /** What never got its end. */
  rest(): Buffer[] {
    const held = this.#held;
    this.#held = Buffer.alloc(0);
    return held.length > 0 ? [held] : [];
  }
}
