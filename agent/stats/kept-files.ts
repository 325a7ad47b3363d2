import { closeSync, openSync, readFileSync } from 'node:fs';
import { errnoOf } from '../../base/errors.js';
import { isAbsence, type SmallFiles, type TextFiles } from './small-file.js';

export interface KeptFilesOptions {
  /** The most descriptors that are held. */
  readonly most?: number | undefined;
  /** A file that nobody read for so long is closed, soon after. */
  readonly idleMs?: number | undefined;
}

/** Of what the process may have open, for the rest has to work as well. */
const share = 1 / 4;
const usualMost = 4096;
const usualIdleMs = 60_000;

interface Kept {
  readonly fd: number;
  used: boolean;
}

/**
 * Files of cgroups, held open between one scrape and the next: to find and to open one costs as much as half of what it takes to read it. An open
 * file keeps no cgroup from being removed; it only answers `ENODEV` then, and is closed. At rest nothing is held. Not for files below
 * `/proc/PID`, which keep the namespaces of the process.
 */
export class KeptFiles implements TextFiles, Disposable {
  readonly #files: SmallFiles;
  readonly #most: number;
  readonly #idleMs: number;
  readonly #kept = new Map<string, Kept>();
  #timer: NodeJS.Timeout | undefined;

  constructor(files: SmallFiles, { most = descriptorsToSpare(), idleMs = usualIdleMs }: KeptFilesOptions = {}) {
    this.#files = files;
    this.#most = most;
    this.#idleMs = idleMs;
  }

  get held(): number {
    return this.#kept.size;
  }

  text(path: string): string | undefined {
    const kept = this.#kept.get(path) ?? this.#open(path);
    if (kept === 'absent') return undefined;
    // Whoever came first stays: each scrape reads all of them, so that making room for one would take it from the next.
    if (kept === 'no room') return this.#files.text(path);
    kept.used = true;
    try {
      return this.#files.read(kept.fd);
    } catch (err) {
      this.#close(path, kept);
      if (!isAbsence(err)) throw err;
      // Another cgroup of the same name may have taken its place.
      return this.#files.text(path);
    }
  }

  number(path: string): number | undefined {
    return this.#files.numberIn(this.text(path));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const [path, kept] of this.#kept) this.#close(path, kept);
  }

  #open(path: string): Kept | 'absent' | 'no room' {
    if (this.#kept.size >= this.#most) return 'no room';
    try {
      const kept = { fd: openSync(path, 'r'), used: true };
      this.#kept.set(path, kept);
      this.#timer ??= setInterval(() => this.#closeUnused(), this.#idleMs).unref();
      return kept;
    } catch (err) {
      if (isAbsence(err)) return 'absent';
      // No more than the process may have: others need theirs.
      if (errnoOf(err) === 'EMFILE' || errnoOf(err) === 'ENFILE') this[Symbol.dispose]();
      return 'no room';
    }
  }

  #closeUnused(): void {
    for (const [path, kept] of this.#kept) {
      if (!kept.used) this.#close(path, kept);
      kept.used = false;
    }
    if (this.#kept.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #close(path: string, { fd }: Kept): void {
    this.#kept.delete(path);
    closeSync(fd);
  }
}

function descriptorsToSpare(): number {
  const limit = Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 0);
  return Math.min(Math.floor(limit * share), usualMost);
}
