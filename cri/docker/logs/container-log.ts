import { mkdir, open, readdir, stat, truncate } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { StateFile } from '../../../base/atomic-file.js';
import { criLine, readJsonLog, type JsonLogPosition } from './json-log.js';

/**
 * Where in Docker's log the CRI file that is written now begins. Each line of Docker's log becomes exactly one line of it, so after
 * a crash the lines that are there say how far it went: none is lost, none comes twice.
 */
interface Begun {
  readonly inode: number;
  readonly from: JsonLogPosition | undefined;
}

function parseBegun(data: unknown): Begun {
  const { inode, from } = (data ?? {}) as { inode?: unknown; from?: { inode?: unknown; offset?: unknown } };
  if (typeof inode !== 'number') throw new Error('inode is not a number');
  if (from === undefined) return { inode, from: undefined };
  if (typeof from.inode !== 'number' || typeof from.offset !== 'number') throw new Error('from is not a position');
  return { inode, from: { inode: from.inode, offset: from.offset } };
}

/** Brings the json-file log of one container into its CRI log file, whenever it is told to. */
export class ContainerLog {
  readonly #jsonPath: string;
  readonly #criPath: string;
  readonly #state: StateFile<Begun>;
  #position: JsonLogPosition | undefined;
  /** Lines after the position that the CRI file has from before a restart. */
  #alreadyThere = 0;
  #resumed = false;
  /** Of the file that is written now. */
  #inode: number | undefined;
  #running: Promise<void> = Promise.resolve();
  #waiting: Promise<void> | undefined;

  constructor(jsonPath: string, criPath: string, statePath: string) {
    this.#jsonPath = jsonPath;
    this.#criPath = criPath;
    this.#state = new StateFile(statePath, 1, parseBegun, { flush: false });
  }

  get jsonPath(): string {
    return this.#jsonPath;
  }

  /** Copies all there is now. Calls while one runs share the next. */
  async copy(): Promise<void> {
    this.#waiting ??= this.#running.then(async () => {
      this.#waiting = undefined;
      this.#running = this.#copy();
      await this.#running;
    });
    await this.#waiting;
  }

  async forget(): Promise<void> {
    await this.#running.catch(() => {});
    await this.#state.remove();
  }

  async #copy(): Promise<void> {
    if (!this.#resumed) await this.#resume();
    this.#resumed = true;
    await readJsonLog(this.#jsonPath, this.#position, async (lines, next) => {
      const fresh = lines.slice(this.#alreadyThere);
      this.#alreadyThere = Math.max(0, this.#alreadyThere - lines.length);
      if (fresh.length > 0) await this.#append(fresh.map(criLine).join(''));
      this.#position = next;
    });
  }

  /** The file is opened by name each time: one that was renamed away (rotation) is left alone and a new one begins here. */
  async #append(text: string): Promise<void> {
    await mkdir(dirname(this.#criPath), { recursive: true });
    const file = await open(this.#criPath, 'a', 0o640);
    try {
      const { ino } = await file.stat();
      if (ino !== this.#inode) {
        await this.#state.write({ inode: ino, from: this.#position });
        this.#inode = ino;
      }
      await file.writeFile(text);
    } finally {
      await file.close();
    }
  }

  async #resume(): Promise<void> {
    const read = await this.#state.read();
    if (read.kind !== 'read') return;
    this.#position = read.data.from;
    const path = await findByInode(this.#criPath, read.data.inode);
    if (path === undefined) return;
    this.#alreadyThere = await countLines(path);
    if (path === this.#criPath) this.#inode = read.data.inode;
  }
}

/** The log itself, or the name it was given when it was rotated just before the crash. */
async function findByInode(criPath: string, inode: number): Promise<string | undefined> {
  const folder = dirname(criPath);
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter((name) => name.startsWith(basename(criPath)))) {
    const found = await stat(join(folder, name)).catch(() => undefined);
    if (found?.ino === inode) return join(folder, name);
  }
  return undefined;
}

/** A last line that was cut short by a crash is cut off: it will be written again. */
async function countLines(path: string): Promise<number> {
  const file = await open(path, 'r');
  let lines = 0;
  let end = 0;
  let at = 0;
  try {
    const buffer = Buffer.allocUnsafe(256 * 1024);
    while (true) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) break;
      for (let i = buffer.indexOf(0x0a); i >= 0 && i < bytesRead; i = buffer.indexOf(0x0a, i + 1)) {
        lines++;
        end = at + i + 1;
      }
      at += bytesRead;
    }
  } finally {
    await file.close();
  }
  if (end < at) await truncate(path, end);
  return lines;
}
