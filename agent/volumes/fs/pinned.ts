import { constants, readFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import type { Stats } from 'node:fs';

/** Names a file without opening it: no read, no wait on a FIFO, no side effect of a device. Missing in Node's constants. */
const O_PATH = 0o10000000;
const { O_NOFOLLOW, O_DIRECTORY } = constants;

/**
 * A file or folder held by its inode. Paths that start with `path` go through the descriptor straight to that inode (what `openat`
 * does), so whoever renames or replaces names on the way cannot lead us elsewhere.
 */
export class Pinned implements AsyncDisposable {
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Opens without following a link in the last component; the components before it must be under the agent's own control. */
  static async open(path: string): Promise<Pinned> {
    return new Pinned(await open(path, O_PATH | O_NOFOLLOW));
  }

  /** ENOTDIR for everything that is not a folder, links to folders included. */
  static async openFolder(path: string): Promise<Pinned> {
    return new Pinned(await open(path, O_PATH | O_NOFOLLOW | O_DIRECTORY));
  }

  /** A path to this inode for as long as it is held, for this process. */
  get path(): string {
    return `/proc/self/fd/${this.#handle.fd}`;
  }

  /** As `path`, for children of this process. */
  get pathForChildren(): string {
    return `/proc/${process.pid}/fd/${this.#handle.fd}`;
  }

  /** A path to a name in this folder; `name` is a single component. */
  entry(name: string): string {
    return `${this.path}/${name}`;
  }

  /** What stands at `name` in this folder; a link is held itself and not followed. */
  async child(name: string): Promise<Pinned> {
    return await Pinned.open(this.entry(name));
  }

  async childFolder(name: string): Promise<Pinned> {
    return await Pinned.openFolder(this.entry(name));
  }

  async stat(): Promise<Stats> {
    return await this.#handle.stat();
  }

  /** The kernel's number of the mount this was reached through: differs across bind mounts of one file system too. */
  mountId(): string {
    // Answered by the kernel from memory: four trips to the thread pool would cost ten times as much.
    const info = readFileSync(`/proc/self/fdinfo/${this.#handle.fd}`, 'utf8');
    return /^mnt_id:\s*(\d+)$/m.exec(info)?.[1] ?? '';
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
