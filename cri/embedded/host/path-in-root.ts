import { lstat, readFile, readlink } from 'node:fs/promises';
import { errnoOf } from '../../../base/errors.js';

const mostLinks = 40;

/**
 * Where `path` leads inside `root` when every symlink is taken as seen from inside: `..` never climbs above the root. Parts that are
 * not there stay as they are. Only for a root nothing runs in yet: the answer is not safe against a rename beside it.
 */
export async function pathInRoot(root: string, path: string): Promise<string> {
  let pending = path.split('/').filter((part) => part !== '');
  let resolved: string[] = [];
  let links = 0;
  while (pending.length > 0) {
    const [part = '', ...rest] = pending;
    pending = rest;
    if (part === '.') continue;
    if (part === '..') {
      resolved = resolved.slice(0, -1);
      continue;
    }
    const target = await linkTarget(`${root}/${[...resolved, part].join('/')}`);
    if (target === undefined) {
      resolved.push(part);
      continue;
    }
    if (++links > mostLinks) throw new Error(`resolve ${path}: too many symbolic links`);
    if (target.startsWith('/')) resolved = [];
    pending = [...target.split('/').filter((piece) => piece !== ''), ...pending];
  }
  return resolved.length === 0 ? root : `${root}/${resolved.join('/')}`;
}

async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return (await lstat(path)).isSymbolicLink() ? await readlink(path) : undefined;
  } catch (err) {
    const errno = errnoOf(err);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    throw err;
  }
}

/** Text of a file inside a root, empty when it is not there, not a regular file, or larger than `limit`. */
export async function readTextInRoot(root: string, path: string, limit: number): Promise<string> {
  const found = await pathInRoot(root, path);
  try {
    const info = await lstat(found);
    return info.isFile() && info.size <= limit ? await readFile(found, 'utf8') : '';
  } catch (err) {
    const errno = errnoOf(err);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return '';
    throw err;
  }
}
