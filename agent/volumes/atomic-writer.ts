import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  type Dirent,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setImmediate as othersTurn } from 'node:timers/promises';
import { errnoOf } from '../../base/errors.js';
import { namePath } from '../../base/name-path.js';
import { removeTree } from './fs/remove-tree.js';
import { VolumeProblem } from './volume-error.js';

export interface PayloadFile {
  readonly data: Uint8Array;
  readonly mode: number;
  /** Owner; root when absent. */
  readonly uid?: number | undefined;
}

/** Files of a volume by their path in it. */
export type Payload = ReadonlyMap<string, PayloadFile>;

export interface WriteOptions {
  /** fsGroup: owns all and may read it. */
  readonly group?: number | undefined;
  /** ms. */
  readonly now: number;
}

const dataLink = '..data';
const nextDataLink = '..data_tmp';
const longestPath = 4096;
const longestName = 255;
/** What a group needs of files and folders it must not write to. */
const groupReads = 0o440;
const groupEnters = 0o2550;

/**
 * Makes the user-visible content of `dir` exactly `payload`, the way the kubelet does (facts 5.3): files lie in a folder named after the
 * time, `..data` is a link to it, and each top-level name is a link through `..data`. A reader sees all of the old content or all of the
 * new. Returns false, with nothing written, when content, modes and owners are what they should be. After a failure the old content is
 * whole.
 *
 * Works on the agent's own folders and small files: nothing here waits for a disk, and a call is a tenth of a trip through the thread pool.
 */
export async function writePayload(
  dir: string,
  payload: Payload,
  options: WriteOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const files = cleanPayload(payload);
  const entries = readdirSync(dir, { withFileTypes: true });
  const link = entries.some(({ name }) => name === dataLink) ? readLink(join(dir, dataLink)) : undefined;
  const current = link?.includes('/') === false ? link : undefined;
  const changed = current === undefined || !(await isCurrent(join(dir, current), files, options));
  const folder = changed ? await writeFolder(dir, files, options, signal) : current;
  linkTopLevel(dir, files, entries, options, changed);
  await removeLeftovers(dir, folder, files, entries, signal);
  return changed;
}

/** Throws for a path that could leave the volume or clash with the writer's own names. */
export function cleanPayloadPath(path: string): string {
  const problem = (why: string): VolumeProblem => new VolumeProblem('refused', `invalid path: ${why}`);
  if (path === '') throw problem('must not be empty');
  if (path.startsWith('/')) throw problem(`must be relative path: ${path}`);
  if (Buffer.byteLength(path) > longestPath) throw problem(`must be less than or equal to ${longestPath} characters`);
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw problem(`must not contain '..': ${path}`);
  if (parts.some((part) => Buffer.byteLength(part) > longestName || part.includes('\0')))
    throw problem(`filenames must be less than or equal to ${longestName} characters`);
  if (parts[0] === undefined) throw problem(`must name a file: ${path}`);
  if (parts[0].startsWith('..')) throw problem(`must not start with '..': ${path}`);
  return parts.join('/');
}

/** `..2006_01_02_15_04_05.` and a random end. */
export function dataFolderName(now: number): string {
  const time = new Date(now).toISOString().slice(0, 19).replaceAll(/[-T:]/g, '_');
  return `..${time}.${randomBytes(5).readUIntBE(0, 5)}`;
}

function cleanPayload(payload: Payload): Map<string, PayloadFile> {
  return new Map([...payload].map(([path, file]) => [cleanPayloadPath(path), file]));
}

async function writeFolder(dir: string, files: Payload, options: WriteOptions, signal: AbortSignal): Promise<string> {
  const name = dataFolderName(options.now);
  const folder = join(dir, name);
  try {
    makeFolder(folder, options);
    const turns = new Turns();
    for (const [path, file] of files) {
      writeOne(folder, path, file, options);
      await turns.next();
    }
    if (!symlinkIfFree(name, join(dir, nextDataLink))) {
      unlinkIfThere(join(dir, nextDataLink));
      symlinkSync(name, join(dir, nextDataLink));
    }
    renameSync(join(dir, nextDataLink), join(dir, dataLink));
  } catch (err) {
    await removeTree(folder, signal).catch(() => {});
    throw err;
  }
  return name;
}

/** An object of thousands of keys must not hold up the other pods. */
class Turns {
  #files = 0;

  async next(): Promise<void> {
    if (++this.#files % 64 === 0) await othersTurn();
  }
}

function writeOne(folder: string, path: string, file: PayloadFile, options: WriteOptions): void {
  let made = folder;
  for (const part of dirname(path).split('/')) {
    if (part === '.') continue;
    made = join(made, part);
    makeFolder(made, options);
  }
  const target = join(folder, path);
  try {
    writeFileSync(target, file.data, { mode: 0o600, flag: 'wx' });
  } catch (err) {
    throw namePath(err, target);
  }
  const { uid = 0 } = file;
  if (uid !== 0 || options.group !== undefined) lchownSync(target, uid, options.group ?? 0);
  chmodSync(target, finalMode(file, options));
}

function makeFolder(path: string, { group }: WriteOptions): void {
  try {
    mkdirSync(path, { mode: 0o755 });
  } catch (err) {
    if (errnoOf(err) === 'EEXIST') return;
    throw err;
  }
  if (group !== undefined) lchownSync(path, 0, group);
  chmodSync(path, group === undefined ? 0o755 : 0o755 | groupEnters);
}

const finalMode = (file: PayloadFile, { group }: WriteOptions): number =>
  group === undefined ? file.mode : file.mode | groupReads;

/** Compared with what is on disk and not with a memory of it: a restart, and someone's hands, are seen. */
async function isCurrent(folder: string, files: Payload, options: WriteOptions): Promise<boolean> {
  const present = filesBelow(folder, '');
  if (present.length !== files.size) return false;
  const turns = new Turns();
  for (const path of present) {
    const file = files.get(path);
    if (!file || !isSame(join(folder, path), file, options)) return false;
    await turns.next();
  }
  return true;
}

function isSame(path: string, file: PayloadFile, options: WriteOptions): boolean {
  const info = lstatSync(path);
  if (!info.isFile() || info.size !== file.data.byteLength) return false;
  if ((info.mode & 0o7777) !== finalMode(file, options) || info.uid !== (file.uid ?? 0)) return false;
  if (options.group !== undefined && info.gid !== options.group) return false;
  return readFileSync(path).equals(file.data);
}

function filesBelow(folder: string, prefix: string): string[] {
  return entriesOf(join(folder, prefix)).flatMap((entry) => {
    const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    return entry.isDirectory() ? filesBelow(folder, path) : [path];
  });
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return [];
    throw err;
  }
}

function linkTopLevel(
  dir: string,
  files: Payload,
  entries: readonly Dirent[],
  options: WriteOptions,
  changed: boolean,
): void {
  const owners = new Map<string, number>();
  for (const [path, file] of files) owners.set(topLevel(path), file.uid ?? 0);
  // What is there stays, as in the kubelet: this very link, or a mount point or subPath folder that was there first.
  for (const { name } of entries) owners.delete(name);
  for (const [name, uid] of owners) {
    const link = join(dir, name);
    if (!symlinkIfFree(`${dataLink}/${name}`, link)) continue;
    if (uid !== 0 || options.group !== undefined) lchownSync(link, uid, options.group ?? 0);
  }
  if (changed && options.group !== undefined) {
    const { mode } = lstatSync(dir);
    lchownSync(join(dir, dataLink), 0, options.group);
    lchownSync(dir, 0, options.group);
    chmodSync(dir, (mode & 0o7777) | groupEnters);
  }
}

/** Links of names that are gone, and folders of earlier contents, those of a run that was killed half way included. */
async function removeLeftovers(
  dir: string,
  current: string,
  files: Payload,
  entries: readonly Dirent[],
  signal: AbortSignal,
): Promise<void> {
  const wanted = new Set([...files.keys()].map(topLevel));
  for (const entry of entries) {
    const { name } = entry;
    if (name === dataLink || name === current || wanted.has(name)) continue;
    const path = join(dir, name);
    if (/^\.\.\d{4}_/.test(name)) await removeTree(path, signal);
    else if (entry.isSymbolicLink() && (name === nextDataLink || readLink(path) === `${dataLink}/${name}`))
      unlinkIfThere(path);
  }
}

const topLevel = (path: string): string => path.split('/')[0] ?? path;

/** Undefined for everything that is not a link. */
function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT' || errnoOf(err) === 'EINVAL') return undefined;
    throw err;
  }
}

function symlinkIfFree(target: string, path: string): boolean {
  try {
    symlinkSync(target, path);
    return true;
  } catch (err) {
    if (errnoOf(err) === 'EEXIST') return false;
    throw err;
  }
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (err) {
    if (errnoOf(err) !== 'ENOENT') throw err;
  }
}
