import { readFile, readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf } from '../../base/errors.js';
import { major, minor } from '../device-number.js';
import { isWild, nameMatcher } from './path-pattern.js';

export interface HostDevice {
  readonly path: string;
  readonly numaNodes: readonly number[];
}

export interface FoundDevices {
  /** By path, in the order of the patterns and then of names. */
  readonly devices: readonly HostDevice[];
  /** Folders whose change may change the result; they exist. */
  readonly folders: ReadonlySet<string>;
}

/** The device nodes that match any of the patterns. */
export async function findDevices(patterns: readonly string[], sysfs: string): Promise<FoundDevices> {
  const devices = new Map<string, HostDevice>();
  const folders = new Set<string>();
  for (const pattern of patterns) {
    for (const path of await expand(pattern, folders)) {
      const device = devices.has(path) ? undefined : await deviceAt(path, sysfs);
      if (device !== undefined) devices.set(path, device);
    }
  }
  return { devices: [...devices.values()], folders };
}

/** Paths that match; every folder that was looked into is added to `folders`, for a missing one its nearest parent. */
async function expand(pattern: string, folders: Set<string>): Promise<readonly string[]> {
  let found: string[] = ['/'];
  const parts = pattern.split('/').filter((part) => part !== '');
  for (const [at, part] of parts.entries()) {
    const isLast = at === parts.length - 1;
    if (!isWild(part) && !isLast) {
      found = found.map((path) => join(path, part));
      continue;
    }
    const next = await Promise.all(found.map((folder) => matching(folder, part, folders)));
    found = next.flat();
  }
  return found;
}

async function matching(folder: string, part: string, folders: Set<string>): Promise<string[]> {
  const names = await namesIn(folder, folders);
  const matcher = nameMatcher(part);
  return names
    .filter((name) => matcher.test(name))
    .sort(byNumber)
    .map((name) => join(folder, name));
}

async function namesIn(folder: string, folders: Set<string>): Promise<readonly string[]> {
  try {
    const names = await readdir(folder);
    folders.add(folder);
    return names;
  } catch (err) {
    const errno = errnoOf(err);
    if (errno !== 'ENOENT' && errno !== 'ENOTDIR' && errno !== 'EACCES') throw err;
    if (folder !== '/') await namesIn(dirname(folder), folders);
    return [];
  }
}

/** tty2 before tty10. */
const collator = new Intl.Collator('en', { numeric: true });
const byNumber = (a: string, b: string): number => collator.compare(a, b);

async function deviceAt(path: string, sysfs: string): Promise<HostDevice | undefined> {
  try {
    // A link counts as what it points to: /dev/serial/by-id is made of links.
    const node = await stat(path);
    if (!node.isCharacterDevice() && !node.isBlockDevice()) return undefined;
    const kind = node.isBlockDevice() ? 'block' : 'char';
    return { path, numaNodes: await numaNodesOf(join(sysfs, 'dev', kind, `${major(node.rdev)}:${minor(node.rdev)}`)) };
  } catch (err) {
    const errno = errnoOf(err);
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP' || errno === 'EACCES') return undefined;
    throw err;
  }
}

/** Most devices have no place of their own: they are where the nearest thing above them is that has one, mostly a PCI device. */
async function numaNodesOf(folder: string): Promise<readonly number[]> {
  let at: string;
  try {
    at = await realpath(folder);
  } catch {
    return [];
  }
  for (; basename(at) !== 'devices' && at !== '/'; at = dirname(at)) {
    const node = await readFile(join(at, 'numa_node'), 'utf8').catch(() => '');
    if (/^\d+$/.test(node.trim())) return [Number(node)];
  }
  // Near no node.
  return [];
}
