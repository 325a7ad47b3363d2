import { watch, type FSWatcher } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

/** How long after the last event a change is taken as complete; editors and copies write in several steps. */
const settleMs = 100;
/** Without a pause between events it is taken as complete after this long. */
const longestMs = 1000;

interface Wanted {
  /** Device and inode: a folder that was replaced by another of the same name is watched anew. */
  readonly identity: string;
  /** The only entries that matter; absent when all do. Parents such as `/etc` are busy with other things. */
  readonly names?: Set<string> | undefined;
}

/**
 * Wakes when something changes in a set of folders, which may come, go and be replaced at any time. A folder that is not
 * there is awaited through the nearest parent that is. Uses the kernel's events; at rest nothing runs.
 */
export class FolderWatch implements Disposable {
  readonly #onChange: () => void;
  readonly #watchers = new Map<string, { identity: string; watcher: FSWatcher }>();
  #wanted: ReadonlyMap<string, Wanted> = new Map();
  #timer: NodeJS.Timeout | undefined;
  #firstEvent: number | undefined;
  #closed = false;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /**
   * Sets the folders to look at. Call it again after each wake-up, before reading the folders: a folder that was replaced
   * has to be watched anew, and what changes after that call wakes again.
   */
  async look(folders: readonly string[]): Promise<void> {
    const wanted = new Map<string, Wanted>();
    for (const folder of folders) await collect(folder, wanted);
    if (this.#closed) return;
    this.#wanted = wanted;
    for (const [path, { identity, watcher }] of this.#watchers) {
      if (wanted.get(path)?.identity === identity) continue;
      watcher.close();
      this.#watchers.delete(path);
    }
    for (const [path, { identity }] of wanted) this.#watch(path, identity);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #watch(path: string, identity: string): void {
    if (this.#watchers.has(path)) return;
    try {
      const watcher = watch(path, { persistent: false }, (_, name) => {
        const names = this.#wanted.get(path)?.names;
        if (names === undefined || name === null || names.has(name)) this.#wake();
      });
      // The folder went: its parent tells, and the next look drops this one.
      watcher.on('error', () => this.#wake());
      this.#watchers.set(path, { identity, watcher });
    } catch {
      // Gone between stat and watch; its parent's event leads to the next look.
      this.#wake();
    }
  }

  #wake(): void {
    if (this.#closed) return;
    this.#firstEvent ??= performance.now();
    const left = this.#firstEvent + longestMs - performance.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#firstEvent = undefined;
        this.#onChange();
      },
      Math.max(0, Math.min(settleMs, left)),
    );
    this.#timer.unref();
  }
}

/** The folder with all its entries and its parent for the folder's own name, or the nearest parent that is there. */
async function collect(folder: string, wanted: Map<string, Wanted>): Promise<void> {
  const identity = await identityOf(folder);
  if (identity !== undefined) wanted.set(folder, { identity });
  let child = folder;
  for (let parent = dirname(child); parent !== child; child = parent, parent = dirname(child)) {
    const parentIdentity = await identityOf(parent);
    if (parentIdentity === undefined) continue;
    const known = wanted.get(parent);
    if (known === undefined) wanted.set(parent, { identity: parentIdentity, names: new Set([basename(child)]) });
    else known.names?.add(basename(child));
    return;
  }
}

async function identityOf(path: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await stat(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}
