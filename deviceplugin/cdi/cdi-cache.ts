import { watch, type FSWatcher } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { errnoOf, errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { CdiError } from './cdi-error.js';
import type { CdiSpec, ContainerEdits } from './cdi-spec.js';
import { parseQualifiedName } from './qualified-name.js';
import { resolveEdits, type ResolvedEdits, type StatDevice } from './resolved-edits.js';

/** The later folder wins over the earlier. */
export const defaultCdiFolders: readonly string[] = ['/etc/cdi', '/var/run/cdi'];

export interface CdiCacheOptions {
  readonly folders?: readonly string[] | undefined;
}

export interface CdiCacheDeps {
  readonly log: Logger;
  /** Default: the host's own device nodes. */
  readonly statDevice?: StatDevice | undefined;
}

/** Something about a file that keeps (some of) its devices from being used. */
export interface CdiProblem {
  readonly path: string;
  readonly reason: string;
}

interface Described {
  readonly path: string;
  readonly rank: number;
  readonly spec: CdiSpec;
  readonly edits: ContainerEdits;
}

interface Known {
  readonly devices: ReadonlyMap<string, Described>;
  readonly problems: readonly CdiProblem[];
}

/**
 * The CDI devices of this host. Folders are read when something is asked after they changed; one that is not there yet is
 * looked for each time.
 */
export class CdiCache implements Disposable {
  readonly #folders: readonly string[];
  readonly #deps: CdiCacheDeps;
  readonly #watchers = new Map<string, FSWatcher>();
  #known: Promise<Known> | undefined;
  #closed = false;

  constructor(options: CdiCacheOptions, deps: CdiCacheDeps) {
    this.#folders = options.folders ?? defaultCdiFolders;
    this.#deps = deps;
  }

  /** Qualified names of all devices that can be used. */
  async devices(): Promise<readonly string[]> {
    return [...(await this.#current()).devices.keys()].sort();
  }

  /** Files that cannot be used, and devices that two files describe. */
  async problems(): Promise<readonly CdiProblem[]> {
    return (await this.#current()).problems;
  }

  /**
   * What a container with these devices needs. Rejects with `CdiError`: `unresolved` names all that are not known, with
   * what is wrong with files that could have described them.
   */
  async resolve(names: readonly string[]): Promise<ResolvedEdits> {
    const { devices, problems } = await this.#current();
    const missing = names.filter((name) => !devices.has(name));
    if (missing.length > 0) {
      throw new CdiError(`resolve CDI devices ${missing.join(', ')}: ${whyMissing(missing, problems, this.#folders)}`, {
        code: 'unresolved',
        devices: missing,
      });
    }
    const edits: ContainerEdits[] = [];
    const files = new Set<string>();
    for (const name of new Set(names)) {
      const device = devices.get(name);
      if (device === undefined) continue;
      // The file's own edits come once, before those of its first device.
      if (!files.has(device.path)) edits.push(device.spec.containerEdits);
      files.add(device.path);
      edits.push(device.edits);
    }
    return await resolveEdits(edits, this.#deps.statDevice);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  async #current(): Promise<Known> {
    // Watched before they are read, so that nothing falls between; where there is nothing to watch, each time anew.
    const watched = this.#folders.map((folder) => this.#ensureWatched(folder));
    if (!watched.every((each) => each)) this.#known = undefined;
    this.#known ??= this.#read();
    return await this.#known;
  }

  /** False while the folder cannot be watched. */
  #ensureWatched(folder: string): boolean {
    if (this.#watchers.has(folder)) return true;
    if (this.#closed) return false;
    try {
      const watcher = watch(folder, (_event, name) => {
        // The folder itself went, or was replaced.
        if (name === basename(folder)) this.#forget(folder, watcher);
        this.#known = undefined;
      });
      watcher.on('error', () => this.#forget(folder, watcher));
      watcher.unref();
      this.#watchers.set(folder, watcher);
      // What was known is from before the watch.
      this.#known = undefined;
      return true;
    } catch (err) {
      if (errnoOf(err) !== 'ENOENT') this.#deps.log.warn({ err, folder }, 'CDI folder cannot be watched');
      return false;
    }
  }

  #forget(folder: string, watcher: FSWatcher): void {
    watcher.close();
    if (this.#watchers.get(folder) === watcher) this.#watchers.delete(folder);
    this.#known = undefined;
  }

  async #read(): Promise<Known> {
    const devices = new Map<string, Described>();
    const conflicts = new Set<string>();
    const problems: CdiProblem[] = [];
    for (const [rank, folder] of this.#folders.entries()) {
      for (const path of await specFiles(folder)) {
        const spec = await readSpec(path, problems);
        for (const { name, containerEdits } of spec?.devices ?? []) {
          if (spec === undefined) continue;
          const qualified = `${spec.kind}=${name}`;
          const other = devices.get(qualified);
          if (other?.rank === rank) {
            conflicts.add(qualified);
            for (const each of [path, other.path]) {
              problems.push({ path: each, reason: `device ${qualified} is described by ${other.path} and ${path}` });
            }
          } else if (other !== undefined) conflicts.delete(qualified);
          devices.set(qualified, { path, rank, spec, edits: containerEdits });
        }
      }
    }
    for (const name of conflicts) devices.delete(name);
    return { devices, problems };
  }
}

async function specFiles(folder: string): Promise<readonly string[]> {
  try {
    const names = await readdir(folder);
    return names
      .filter((name) => ['.json', '.yaml'].includes(extname(name)))
      .sort()
      .map((name) => join(folder, name));
  } catch (err) {
    const errno = errnoOf(err);
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'EACCES') return [];
    throw err;
  }
}

async function readSpec(path: string, problems: CdiProblem[]): Promise<CdiSpec | undefined> {
  // The parser brings its libraries along: a host without CDI files does without them.
  const { parseCdiSpec } = await import('./cdi-spec.js');
  try {
    return parseCdiSpec(await readFile(path, 'utf8'), extname(path) === '.json' ? 'json' : 'yaml');
  } catch (err) {
    if (errnoOf(err) !== 'ENOENT') problems.push({ path, reason: errorText(err) });
    return undefined;
  }
}

function whyMissing(missing: readonly string[], problems: readonly CdiProblem[], folders: readonly string[]): string {
  const odd = missing.find((name) => parseQualifiedName(name) === undefined);
  if (odd !== undefined) return `"${odd}" does not read vendor.com/class=device`;
  const words = problems.map(({ path, reason }) => `${path}: ${reason}`);
  const nobody = `no file in ${[...new Set(folders.map((folder) => join(dirname(folder), basename(folder))))].join(' or ')} describes them`;
  return words.length === 0 ? nobody : `${nobody}; files that cannot be used: ${words.join('; ')}`;
}
