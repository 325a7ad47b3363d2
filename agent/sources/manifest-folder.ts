import { watch, type BigIntStats, type FSWatcher } from 'node:fs';
import { lstat, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { systemClock, type Clock } from '../../base/clock.js';
import { errnoOf, errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { loadManifestReader, type ManifestReader } from '../api/index.js';
import { FirstSeen } from './first-seen.js';
import { manifestContents, unreadableManifest, type HeldObject, type ManifestOptions } from './manifest-contents.js';
import type { ManifestReport, PodSource, SourceSnapshot } from './pod-source.js';
import { readBounded } from './read-bounded.js';
import { snapshotOf } from './snapshot-of.js';
import { WakeUp } from './wake-up.js';

export interface ManifestFolderOptions extends ManifestOptions {
  /** A folder, read without its subfolders and dotfiles, or one file. A path that is not there is an empty set. */
  readonly path: string;
  /** How often to look without having been told of a change: `fileCheckFrequency`. */
  readonly recheckMs?: number | undefined;
}

export interface ManifestFolderDeps {
  readonly log: Logger;
  readonly clock?: Clock | undefined;
}

const maxFileBytes = 10 * 1024 * 1024;
const defaultRecheckMs = 20_000;
/** Writing a file is several events; looking in the middle of it would report a half-written manifest. */
const settleMs = 25;
/** While the folder is missing or cannot be watched: how soon to try again, growing to the normal check. */
const firstRewatchMs = 1000;

interface FileState {
  /** Changes when the file's content may have. */
  readonly stamp: string;
  readonly held: readonly HeldObject[];
  readonly report: ManifestReport;
  /** It has not been read since the start: what it holds is not known, which is not the same as nothing. */
  readonly unknown?: boolean | undefined;
}

/** Pods from manifests on disk: `staticPodPath`, and the standalone agent's folder. */
export class ManifestFolder implements PodSource {
  readonly name = 'file';
  readonly #options: ManifestFolderOptions;
  readonly #log: Logger;
  readonly #wakeUp = new WakeUp();
  readonly #seen: FirstSeen;
  #files = new Map<string, FileState>();
  #folderProblem: ManifestReport | undefined;
  #watcher: { readonly watcher: FSWatcher; readonly inode: string } | undefined;
  #reader: ManifestReader | undefined;

  constructor(options: ManifestFolderOptions, deps: ManifestFolderDeps) {
    this.#options = options;
    this.#log = deps.log.child({ source: 'file', path: options.path });
    const clock = deps.clock ?? systemClock;
    this.#seen = new FirstSeen(() => clock.now());
  }

  get reports(): readonly ManifestReport[] {
    const files = withoutSecondOnes([...this.#files.values()].map(({ report }) => report));
    return this.#folderProblem === undefined ? files : [this.#folderProblem, ...files];
  }

  get #isPartial(): boolean {
    return [...this.#files.values()].some(({ unknown }) => unknown);
  }

  wake(): void {
    this.#wakeUp.set();
  }

  async run(deliver: (snapshot: SourceSnapshot) => void, signal: AbortSignal): Promise<void> {
    const recheckMs = this.#options.recheckMs ?? defaultRecheckMs;
    let rewatchMs = firstRewatchMs;
    let delivered = false;
    try {
      while (!signal.aborted) {
        // The watch comes before the look: what changes after the look is told.
        const watched = await this.#ensureWatch();
        const result = await this.#scan();
        if (signal.aborted) return;
        if (result === 'changed' || (result === 'same' && !delivered)) {
          deliver(this.#snapshot());
          delivered = true;
        }
        const healthy = watched && result !== 'unreadable' && !this.#isPartial;
        rewatchMs = healthy ? firstRewatchMs : Math.min(rewatchMs * 2, recheckMs);
        const woken = await this.#wakeUp.wait(healthy ? recheckMs : Math.min(rewatchMs, recheckMs), signal);
        if (woken === 'set') await this.#settle(signal);
      }
    } finally {
      this.#closeWatch();
    }
  }

  /** Waits for a burst of events to end, but not for ever. */
  async #settle(signal: AbortSignal): Promise<void> {
    for (let rounds = 0; rounds < 10; rounds++) {
      if ((await this.#wakeUp.wait(settleMs, signal)) !== 'set') return;
    }
  }

  #snapshot(): SourceSnapshot {
    const held = [...this.#files.values()].flatMap((file) => file.held);
    const snapshot = snapshotOf('file', held, this.#isPartial);
    this.#seen.keepOnly(new Set(snapshot.pods.map((pod) => pod.metadata?.uid ?? '')));
    return snapshot;
  }

  async #scan(): Promise<'changed' | 'same' | 'unreadable'> {
    let paths: string[];
    try {
      paths = await this.#listFiles();
    } catch (err) {
      const message = `cannot be read: ${errorText(err)}; what it held before stays in force`;
      const report = unreadableManifest(this.#options.path, message, []).report;
      if (this.#folderProblem === undefined) this.#log.warn({ err }, 'manifest folder cannot be read');
      this.#folderProblem = report;
      return 'unreadable';
    }
    this.#folderProblem = undefined;
    const before = this.#files;
    const after = new Map<string, FileState>();
    for (const path of paths) {
      const state = await this.#readFile(path, before.get(path));
      if (state !== undefined) after.set(path, state);
    }
    this.#files = after;
    const same = before.size === after.size && [...after].every(([path, state]) => before.get(path) === state);
    return same ? 'same' : 'changed';
  }

  /** Sorted, so that the order of pods does not depend on the file system. */
  async #listFiles(): Promise<string[]> {
    const { path } = this.#options;
    try {
      if (!(await stat(path)).isDirectory()) return [path];
      const names = await readdir(path);
      return names
        .filter((name) => !name.startsWith('.'))
        .sort((a, b) => (a < b ? -1 : 1))
        .map((name) => join(path, name));
    } catch (err) {
      if (errnoOf(err) === 'ENOENT') return [];
      throw err;
    }
  }

  /** The file's state, the very same object when nothing changed; undefined when it is gone or no file. */
  async #readFile(path: string, before: FileState | undefined): Promise<FileState | undefined> {
    const held = before?.held ?? [];
    try {
      const info = await statOrDangling(path);
      if (info === 'dangling') return danglingLink(path, before);
      if (!info.isFile()) return undefined;
      const stamp = [info.dev, info.ino, info.size, info.mtimeNs, info.ctimeNs].join(':');
      if (before?.stamp === stamp) return before;
      const bytes = await readBounded(path, maxFileBytes);
      if (bytes === undefined) {
        return {
          stamp,
          ...this.#told(unreadableManifest(path, `larger than ${maxFileBytes / 1024 / 1024} MiB`, held)),
        };
      }
      const reader = (this.#reader ??= await loadManifestReader());
      const origin = { source: 'file', path } as const;
      const entries = reader.readText(bytes);
      // Whoever rewrites a file truncates it first; and an empty file is no clear wish to stop what runs.
      if (entries.length === 0 && held.length > 0) {
        const message = 'holds no object any more; delete the file to remove what it held';
        return { stamp, ...this.#told(unreadableManifest(path, message, held)) };
      }
      return {
        stamp,
        ...this.#told(manifestContents(path, origin, entries, held, this.#options, (uid) => this.#seen.at(uid))),
      };
    } catch (err) {
      if (errnoOf(err) === 'ENOENT') return undefined;
      const failed = unreadableManifest(path, `cannot be read: ${errorText(err)}`, held);
      // Same trouble as before: nothing to tell again.
      const same = before?.report.problems[0]?.message === failed.report.problems[0]?.message;
      const unknown = before === undefined || before.unknown;
      return same ? before : { stamp: 'unreadable', unknown, ...this.#told(failed) };
    }
  }

  #told<T extends { report: ManifestReport }>(contents: T): T {
    const { report } = contents;
    if (!report.ok) {
      const kept = report.objects.filter((object) => object.kept).map((object) => object.key);
      this.#log.warn({ file: report.file, problems: report.problems, kept }, 'manifest has problems');
    }
    return contents;
  }

  /**
   * Watches the folder. For a single file, and while the path is missing, its parent: editors replace files, which ends a
   * watch on the file itself.
   */
  async #ensureWatch(): Promise<boolean> {
    const { path } = this.#options;
    try {
      const own = await statIfPresent(path);
      const inside = own?.isDirectory() === true;
      const target = inside ? path : dirname(path);
      const folder = inside ? own : await stat(target, { bigint: true });
      const inode = `${folder.dev}:${folder.ino}`;
      if (this.#watcher?.inode === inode) return true;
      this.#closeWatch();
      const watcher = watch(target, { persistent: false }, (_, changed) => {
        if (inside || changed === null || changed === basename(path)) this.#wakeUp.set();
      });
      watcher.on('error', () => {
        this.#closeWatch();
        this.#wakeUp.set();
      });
      this.#watcher = { watcher, inode };
      return true;
    } catch (err) {
      this.#closeWatch();
      this.#log.debug({ err }, 'manifest folder cannot be watched, looking at it instead');
      return false;
    }
  }

  #closeWatch(): void {
    this.#watcher?.watcher.close();
    this.#watcher = undefined;
  }
}

async function statOrDangling(path: string): Promise<BigIntStats | 'dangling'> {
  const found = await statIfPresent(path);
  if (found) return found;
  // Gone meanwhile, or a link to what is not there.
  await lstat(path);
  return 'dangling';
}

/** What it held goes, as with a file that was deleted; that the link was forgotten is told. */
function danglingLink(path: string, before: FileState | undefined): FileState {
  const stamp = 'dangling';
  if (before?.stamp === stamp) return before;
  return { stamp, ...unreadableManifest(path, 'is a symbolic link to a file that is not there', []) };
}

/** Of two files that give the same object the first counts, in the order of their names. */
function withoutSecondOnes(reports: readonly ManifestReport[]): ManifestReport[] {
  const givenBy = new Map<string, string>();
  return reports.map((report) => {
    const second = report.objects.filter(({ kind, key }) => givenBy.has(`${kind} ${key}`));
    for (const { kind, key } of report.objects)
      if (!givenBy.has(`${kind} ${key}`)) givenBy.set(`${kind} ${key}`, report.file);
    if (second.length === 0) return report;
    const problems = second.map(({ kind, key }): ManifestReport['problems'][number] => {
      const object = `${kind} ${key}`;
      const message = `Duplicate value: ${givenBy.get(object)} gives ${object} already; this one is ignored`;
      return { code: 'duplicate-key', path: 'metadata.name', message, object };
    });
    const objects = report.objects.filter((object) => !second.includes(object));
    return { ...report, ok: false, problems: [...report.problems, ...problems], objects };
  });
}

async function statIfPresent(path: string): Promise<BigIntStats | undefined> {
  try {
    return await stat(path, { bigint: true });
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return undefined;
    throw err;
  }
}
