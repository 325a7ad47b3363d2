/** One line of a container log as the runtime wrote it. */
export interface LogLine {
  /** RFC 3339 with nanoseconds, as written. */
  readonly time: string;
  readonly stream: 'stdout' | 'stderr';
  /** The container's line goes on in the next one of its stream. */
  readonly partial: boolean;
  /** Without the end of line, unless it is part of what the container wrote. */
  readonly content: Buffer;
}

const space = 0x20;
const brace = 0x7b;

/** Reads a line of the CRI format, `TIME STREAM TAGS CONTENT`, or of Docker's JSON; undefined for anything else. */
export function parseLogLine(line: Buffer): LogLine | undefined {
  return line[0] === brace ? dockerLine(line) : criLine(line);
}

function criLine(line: Buffer): LogLine | undefined {
  const afterTime = line.indexOf(space);
  const afterStream = line.indexOf(space, afterTime + 1);
  if (afterTime <= 0 || afterStream < 0) return undefined;
  const foundEnd = line.indexOf(space, afterStream + 1);
  const afterTags = foundEnd < 0 ? line.length : foundEnd;
  const time = line.toString('latin1', 0, afterTime);
  const stream = line.toString('latin1', afterTime + 1, afterStream);
  if (!isTime(time) || !isStream(stream)) return undefined;
  const [tag] = line.toString('latin1', afterStream + 1, afterTags).split(':');
  if (tag !== 'F' && tag !== 'P') return undefined;
  return { time, stream, partial: tag === 'P', content: line.subarray(afterTags + 1) };
}

function dockerLine(line: Buffer): LogLine | undefined {
  try {
    const { log, stream, time } = JSON.parse(line.toString('utf8')) as Record<string, unknown>;
    if (typeof log !== 'string' || typeof time !== 'string' || !isTime(time)) return undefined;
    if (typeof stream !== 'string' || !isStream(stream)) return undefined;
    const ends = log.endsWith('\n');
    return { time, stream, partial: !ends, content: Buffer.from(ends ? log.slice(0, -1) : log) };
  } catch {
    return undefined;
  }
}

const isTime = (text: string): boolean => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(text);
const isStream = (text: string): text is LogLine['stream'] => text === 'stdout' || text === 'stderr';
