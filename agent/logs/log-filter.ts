import type { LogLine } from './cri-log-line.js';

export interface LogFilterOptions {
  /** Only lines from this instant on, ms since the epoch. */
  readonly sinceMs?: number | undefined;
  readonly timestamps?: boolean | undefined;
  readonly stream?: 'stdout' | 'stderr' | undefined;
  readonly limitBytes?: number | undefined;
}

const newline = Buffer.from('\n');

/** As the kubelet shows it; conmon writes UTC as an offset of nothing. */
const shownTime = (time: string): string => (time.endsWith('+00:00') ? `${time.slice(0, -6)}Z` : time);

/** Turns log lines into what the reader asked for. Pieces of one line are joined; only its start has the timestamp. */
export class LogFilter {
  readonly #options: LogFilterOptions;
  /** Streams whose last piece left a line open. */
  readonly #open = new Set<LogLine['stream']>();
  #left: number;

  constructor(options: LogFilterOptions) {
    this.#options = options;
    this.#left = options.limitBytes ?? Number.POSITIVE_INFINITY;
  }

  /** The byte limit is used up. */
  get full(): boolean {
    return this.#left <= 0;
  }

  /** The bytes to hand on; empty when the line is filtered out. */
  take(line: LogLine): Buffer {
    const { sinceMs, timestamps, stream } = this.#options;
    if (stream !== undefined && line.stream !== stream) return Buffer.alloc(0);
    if (sinceMs !== undefined && Date.parse(line.time) < sinceMs) return Buffer.alloc(0);
    const goesOn = this.#open.has(line.stream);
    if (line.partial) this.#open.add(line.stream);
    else this.#open.delete(line.stream);
    const parts: Buffer[] = [];
    if (timestamps === true && !goesOn) parts.push(Buffer.from(`${shownTime(line.time)} `));
    parts.push(line.content);
    if (!line.partial) parts.push(newline);
    const bytes = Buffer.concat(parts);
    const cut = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes;
    this.#left -= cut.length;
    return cut;
  }
}
