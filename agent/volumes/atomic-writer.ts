import { randomBytes } from 'node:crypto';
import {
  chmod,
  lchown,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf } from '../../base/errors.js';
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
 */
export async function writePayload(
  dir: string,
  payload: Payload,
  options: WriteOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const files = cleanPayload(payload);
  const link = await readLink(join(dir, dataLink));
  const current = link?.includes('/') === false ? link : undefined;
  const changed = current === undefined || !(await isCurrent(join(dir, current), files, options));
  const folder = changed ? await writeFolder(dir, files, options, signal) : current;
  await linkTopLevel(dir, files, options, changed);
  await removeLeftovers(dir, folder, files, signal);
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
    await makeFolder(folder, options);
    for (const [path, file] of files) await writeOne(folder, path, file, options);
    if (!(await symlinkIfFree(name, join(dir, nextDataLink)))) {
      await unlinkIfThere(join(dir, nextDataLink));
      await symlink(name, join(dir, nextDataLink));
    }
    await rename(join(dir, nextDataLink), join(dir, dataLink));
  } catch (err) {
    await removeTree(folder, signal).catch(() => {});
    throw err;
  }
  return name;
}

async function writeOne(folder: string, path: string, file: PayloadFile, options: WriteOptions): Promise<void> {
  let made = folder;
  for (const part of dirname(path).split('/')) {
    if (part === '.') continue;
    made = join(made, part);
    await makeFolder(made, options);
  }
  const target = join(folder, path);
  await writeFile(target, file.data, { mode: 0o600, flag: 'wx' });
  const { uid = 0 } = file;
  if (uid !== 0 || options.group !== undefined) await lchown(target, uid, options.group ?? 0);
  await chmod(target, finalMode(file, options));
}

async function makeFolder(path: string, { group }: WriteOptions): Promise<void> {
  try {
    await mkdir(path, { mode: 0o755 });
  } catch (err) {
    if (errnoOf(err) === 'EEXIST') return;
    throw err;
  }
  if (group !== undefined) await lchown(path, 0, group);
  await chmod(path, group === undefined ? 0o755 : 0o755 | groupEnters);
}

const finalMode = (file: PayloadFile, { group }: WriteOptions): number =>
  group === undefined ? file.mode : file.mode | groupReads;

/** Compared with what is on disk and not with a memory of it: a restart, and someone's hands, are seen. */
async function isCurrent(folder: string, files: Payload, options: WriteOptions): Promise<boolean> {
  const present = await filesBelow(folder, '');
  if (present.length !== files.size) return false;
  for (const path of present) {
    const file = files.get(path);
    if (!file) return false;
    const target = join(folder, path);
    const info = await lstat(target);
    if (!info.isFile() || info.size !== file.data.byteLength) return false;
    if ((info.mode & 0o7777) !== finalMode(file, options) || info.uid !== (file.uid ?? 0)) return false;
    if (options.group !== undefined && info.gid !== options.group) return false;
    if (!(await readFile(target)).equals(file.data)) return false;
  }
  return true;
}

async function filesBelow(folder: string, prefix: string): Promise<string[]> {
  const entries = await readdir(join(folder, prefix), { withFileTypes: true }).catch((err: unknown) => {
    if (errnoOf(err) === 'ENOENT') return [];
    throw err;
  });
  const found = await Promise.all(
    entries.map(async (entry) => {
      const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
      return entry.isDirectory() ? await filesBelow(folder, path) : [path];
    }),
  );
  return found.flat();
}

async function linkTopLevel(dir: string, files: Payload, options: WriteOptions, changed: boolean): Promise<void> {
  const owners = new Map<string, number>();
  for (const [path, file] of files) owners.set(topLevel(path), file.uid ?? 0);
  for (const [name, uid] of owners) {
    const link = join(dir, name);
    // What is there stays, as in the kubelet: this very link, or a mount point or subPath folder that was there first.
    if (!(await symlinkIfFree(`${dataLink}/${name}`, link))) continue;
    if (uid !== 0 || options.group !== undefined) await lchown(link, uid, options.group ?? 0);
  }
  if (changed && options.group !== undefined) {
    const { mode } = await lstat(dir);
    await lchown(join(dir, dataLink), 0, options.group);
    await lchown(dir, 0, options.group);
    await chmod(dir, (mode & 0o7777) | groupEnters);
  }
}

/** Links of names that are gone, and folders of earlier contents, those of a run that was killed half way included. */
async function removeLeftovers(dir: string, current: string, files: Payload, signal: AbortSignal): Promise<void> {
  const wanted = new Set([...files.keys()].map(topLevel));
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const { name } = entry;
    if (name === dataLink || name === current || wanted.has(name)) continue;
    const path = join(dir, name);
    if (/^\.\.\d{4}_/.test(name)) await removeTree(path, signal);
    else if (entry.isSymbolicLink() && (name === nextDataLink || (await readLink(path)) === `${dataLink}/${name}`))
      await unlinkIfThere(path);
  }
}

const topLevel = (path: string): string => path.split('/')[0] ?? path;

/** Undefined for everything that is not a link. */
async function readLink(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT' || errnoOf(err) === 'EINVAL') return undefined;
    throw err;
  }
}

async function symlinkIfFree(target: string, path: string): Promise<boolean> {
  try {
    await symlink(target, path);
    return true;
  } catch (err) {
    if (errnoOf(err) === 'EEXIST') return false;
    throw err;
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  await unlink(path).catch((err: unknown) => {
    if (errnoOf(err) !== 'ENOENT') throw err;
  });
}
