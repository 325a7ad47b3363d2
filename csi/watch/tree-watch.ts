import { watch, type FSWatcher } from 'node:fs';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { errnoOf } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';

export interface TreeWatchOptions {
  /** Made when missing, and made again when somebody removes it. */
  readonly root: string;
  readonly mode: number;
  /** How many levels of folders below the root are watched. */
  readonly depth: number;
  /** Changes within this long are one wake-up. */
  readonly settleMs?: number;
  /** How often to look when the kernel has no more watches to give. */
  readonly pollMs?: number;
}

export interface TreeWatchDeps {
  /** A wake-up that carries no data: look at the tree again. */
  readonly onChange: () => void;
  readonly log: Logger;
}

interface WatchedFolder {
  readonly inode: number;
  readonly watcher: FSWatcher;
}

/**
 * Wakes when anything changes in a small tree of folders; names that begin with a dot do not count and links are not
 * followed. (`fs.watch` with `recursive` misses folders that come and go quickly.)
 */
export class TreeWatch implements Disposable {
  readonly #options: TreeWatchOptions;
  readonly #deps: TreeWatchDeps;
  readonly #folders = new Map<string, WatchedFolder>();
  #settle: NodeJS.Timeout | undefined;
  #poll: NodeJS.Timeout | undefined;
  #scanning = false;
  #again = false;
  #closed = false;

  constructor(options: TreeWatchOptions, deps: TreeWatchDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Resolves when every folder is watched: what changes later is reported. */
  async start(): Promise<void> {
    await this.#scan();
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#settle);
    clearInterval(this.#poll);
    for (const folder of this.#folders.values()) folder.watcher.close();
    this.#folders.clear();
  }

  #wake(): void {
    if (this.#closed || this.#settle !== undefined) return;
    this.#settle = setTimeout(() => {
      this.#settle = undefined;
      void this.#rescan();
    }, this.#options.settleMs ?? 20);
  }

  async #rescan(): Promise<void> {
    if (this.#scanning) {
      this.#again = true;
      return;
    }
    this.#scanning = true;
    try {
      await this.#scan();
    } catch (err) {
      this.#deps.log.warn({ err, folder: this.#options.root }, 'watched folder cannot be read');
      this.#startPolling();
    } finally {
      this.#scanning = false;
    }
    if (this.#closed) return;
    this.#deps.onChange();
    if (this.#again) {
      this.#again = false;
      this.#wake();
    }
  }

  async #scan(): Promise<void> {
    await mkdir(this.#options.root, { recursive: true, mode: this.#options.mode });
    const seen = new Set<string>();
    await this.#visit(this.#options.root, 0, seen);
    for (const [path, folder] of this.#folders) {
      if (seen.has(path)) continue;
      folder.watcher.close();
      this.#folders.delete(path);
    }
  }

  /** The watch comes before the listing, so that nothing falls between the two. */
  async #visit(path: string, level: number, seen: Set<string>): Promise<void> {
    try {
      this.#ensureWatched(path, (await stat(path)).ino);
      seen.add(path);
      if (level >= this.#options.depth) return;
      for (const entry of await readdir(path, { withFileTypes: true })) {
        if (entry.isDirectory() && !entry.name.startsWith('.'))
          await this.#visit(join(path, entry.name), level + 1, seen);
      }
    } catch (err) {
      const errno = errnoOf(err);
      if (errno !== 'ENOENT' && errno !== 'ENOTDIR') throw err;
    }
  }

  #ensureWatched(path: string, inode: number): void {
    const known = this.#folders.get(path);
    if (known?.inode === inode || this.#closed) return;
    known?.watcher.close();
    try {
      const watcher = watch(path, (_event, name) => {
        // The folder itself went: one made again at once may get the same inode, so forget this watch now.
        if (name === basename(path)) this.#forget(path, watcher);
        if (name === null || !name.startsWith('.')) this.#wake();
      });
      watcher.on('error', () => this.#wake());
      this.#folders.set(path, { inode, watcher });
    } catch (err) {
      const errno = errnoOf(err);
      if (errno !== 'ENOSPC' && errno !== 'EMFILE') throw err;
      this.#deps.log.warn({ err, folder: path, pollMs: this.#pollMs }, 'no file watch to be had, looking now and then');
      this.#startPolling();
    }
  }

  #forget(path: string, watcher: FSWatcher): void {
    watcher.close();
    if (this.#folders.get(path)?.watcher === watcher) this.#folders.delete(path);
  }

  get #pollMs(): number {
    return this.#options.pollMs ?? 5000;
  }

  #startPolling(): void {
    if (!this.#closed) this.#poll ??= setInterval(() => void this.#rescan(), this.#pollMs);
  }
}
