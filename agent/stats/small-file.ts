import { closeSync, openSync, readSync } from 'node:fs';
import { errnoOf } from '../../base/errors.js';

export interface TextFiles {
  /** Undefined when there is none, or when the kernel does not offer it (`EOPNOTSUPP` of pressure files, `ENODEV` of a cgroup that goes). */
  text(path: string): string | undefined;
  /** The number a file consists of; undefined for "max" as well. */
  number(path: string): number | undefined;
}

/**
 * Reads files of the kernel that are small and answer from memory. Synchronous on purpose: such a read takes a few microseconds, a trip through the
 * thread pool twenty times that, and a scrape reads over a thousand.
 */
export class SmallFiles implements TextFiles {
  #buffer: Buffer = Buffer.allocUnsafe(32 * 1024);

  text(path: string): string | undefined {
    let fd: number;
    try {
      fd = openSync(path, 'r');
    } catch (err) {
      if (isAbsence(err)) return undefined;
      throw err;
    }
    try {
      return this.read(fd);
    } catch (err) {
      if (isAbsence(err)) return undefined;
      throw err;
    } finally {
      closeSync(fd);
    }
  }

  number(path: string): number | undefined {
    return this.numberIn(this.text(path));
  }

  /** All that an open file holds, from its beginning. Throws what the kernel says. */
  read(fd: number): string {
    // Reading may put a larger buffer in place of this one.
    const length = this.#readAll(fd);
    return this.#buffer.toString('latin1', 0, length);
  }

  numberIn(text: string | undefined): number | undefined {
    if (text === undefined) return undefined;
    const value = Number.parseInt(text, 10);
    return Number.isNaN(value) ? undefined : value;
  }

  #readAll(fd: number): number {
    let length = 0;
    while (true) {
      const room = this.#buffer.length - length;
      const read = readSync(fd, this.#buffer, length, room, length);
      length += read;
      // A file of a cgroup comes whole in one read; what fills a page may be longer.
      if (read === 0 || (read < room && length < 4096)) return length;
      if (length === this.#buffer.length) {
        const larger = Buffer.allocUnsafe(this.#buffer.length * 2);
        this.#buffer.copy(larger);
        this.#buffer = larger;
      }
    }
  }
}

const absences = new Set(['ENOENT', 'ENOTDIR', 'ENODEV', 'EOPNOTSUPP', 'ENOTSUP', 'ESRCH', 'EINVAL']);
export const isAbsence = (err: unknown): boolean => absences.has(errnoOf(err) ?? '');

/** Calls back with each `key value` line whose key is asked for. */
export function readFields(text: string, wanted: ReadonlySet<string>): Map<string, number> {
  const found = new Map<string, number>();
  let start = 0;
  while (start < text.length && found.size < wanted.size) {
    let end = text.indexOf('\n', start);
    if (end < 0) end = text.length;
    const space = text.indexOf(' ', start);
    if (space > 0 && space < end) {
      const key = text.slice(start, space);
      if (wanted.has(key)) found.set(key, Number(text.slice(space + 1, end)));
    }
    start = end + 1;
  }
  return found;
}
