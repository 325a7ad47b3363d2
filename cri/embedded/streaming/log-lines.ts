export interface LogPiece {
  readonly stream: 'stdout' | 'stderr';
  /** What the container wrote; a full line has its newline back. */
  readonly data: Buffer;
}

const space = 0x20;
const newline = 0x0a;
const letterP = 0x50;

/** Takes CRI log bytes as they come and returns what the container wrote, partial lines at once. */
export class LogLineParser {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): LogPiece[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const pieces: LogPiece[] = [];
    let start = 0;
    let end = bytes.indexOf(newline);
    while (end >= 0) {
      const piece = parseLine(bytes.subarray(start, end + 1));
      if (piece !== undefined) pieces.push(piece);
      start = end + 1;
      end = bytes.indexOf(newline, start);
    }
    this.#rest = Buffer.from(bytes.subarray(start));
    return pieces;
  }
}

/** `TIME STREAM TAG DATA\n`; undefined for a line that is not in this form. */
function parseLine(line: Buffer): LogPiece | undefined {
  const afterTime = line.indexOf(space);
  const afterStream = line.indexOf(space, afterTime + 1);
  const afterTag = line.indexOf(space, afterStream + 1);
  if (afterTime < 0 || afterStream < 0 || afterTag < 0) return undefined;
  const stream = line.toString('latin1', afterTime + 1, afterStream);
  if (stream !== 'stdout' && stream !== 'stderr') return undefined;
  const partial = line[afterStream + 1] === letterP;
  return { stream, data: line.subarray(afterTag + 1, partial ? line.length - 1 : line.length) };
}
