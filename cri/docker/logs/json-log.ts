import { open, stat } from 'node:fs/promises';
import { errnoOf } from '../../../base/errors.js';

/** A place in Docker's log of a container: a file by its inode, as Docker renames files when it rotates them. */
export interface JsonLogPosition {
  readonly inode: number;
  readonly offset: number;
}

/** As many rotated files as Docker is told to keep. */
const rotatedFiles = 4;
const readBytes = 256 * 1024;

/**
 * Reads whole lines from `from` on, across rotated files, oldest first, and calls `take` with each batch and the position
 * after it. Undefined starts with the oldest file there is.
 */
export async function readJsonLog(
  path: string,
  from: JsonLogPosition | undefined,
  take: (lines: readonly string[], next: JsonLogPosition) => Promise<void>,
): Promise<void> {
  const files = await presentFiles(path);
  const start = files.findIndex(({ inode }) => inode === from?.inode);
  for (const [index, file] of files.slice(Math.max(start, 0)).entries()) {
    const known = start >= 0 && index === 0 ? (from?.offset ?? 0) : 0;
    // A file shorter than what was read of it is another one that was given the same inode.
    const offset = known <= file.size ? known : 0;
    if (offset < file.size) await readLines(file, offset, take);
  }
}

interface PresentFile {
  readonly path: string;
  readonly inode: number;
  readonly size: number;
}

/** Oldest first. */
async function presentFiles(path: string): Promise<PresentFile[]> {
  const found: PresentFile[] = [];
  for (let number = rotatedFiles; number >= 0; number--) {
    const name = number === 0 ? path : `${path}.${number}`;
    try {
      const { ino, size } = await stat(name);
      found.push({ path: name, inode: ino, size });
    } catch (err) {
      if (errnoOf(err) !== 'ENOENT') throw err;
    }
  }
  return found;
}

async function readLines(
  { path, inode }: PresentFile,
  offset: number,
  take: (lines: readonly string[], next: JsonLogPosition) => Promise<void>,
): Promise<void> {
  const file = await open(path, 'r');
  try {
    if ((await file.stat()).ino !== inode) return; // rotated between the look and the opening: the next round finds it
    let at = offset;
    let size = readBytes;
    while (true) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(size), 0, size, at);
      const end = buffer.subarray(0, bytesRead).lastIndexOf(0x0a) + 1;
      if (end === 0 && bytesRead === size) {
        size *= 2; // one line longer than the buffer
        continue;
      }
      if (end === 0) return;
      const lines = buffer.toString('utf8', 0, end - 1).split('\n');
      at += end;
      await take(lines, { inode, offset: at });
    }
  } finally {
    await file.close();
  }
}

/**
 * `2026-01-02T03:04:05.123456789Z stdout F text`; a piece of a longer line is tagged P. Always one line: what Docker did not write
 * (a disk that was full) is passed on as it is.
 */
export function criLine(json: string): string {
  try {
    const { log, stream, time } = JSON.parse(json) as { log?: unknown; stream?: unknown; time?: unknown };
    if (typeof log !== 'string' || typeof time !== 'string') return unreadable(json);
    const whole = log.endsWith('\n');
    return `${fullTime(time)} ${stream === 'stderr' ? 'stderr' : 'stdout'} ${whole ? 'F' : 'P'} ${whole ? log.slice(0, -1) : log}\n`;
  } catch {
    return unreadable(json);
  }
}

const unreadable = (line: string): string => `1970-01-01T00:00:00.000000000Z stderr F ${line}\n`;

/** Docker leaves zeros at the end of the fraction out; readers of CRI logs like nine digits. */
function fullTime(time: string): string {
  const match = /^(.*?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/.exec(time);
  if (match === null) return time;
  const [, seconds = '', fraction = '', zone = ''] = match;
  return `${seconds}.${fraction.padEnd(9, '0')}${zone}`;
}
