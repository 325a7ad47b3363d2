import { lstat, readlink } from 'node:fs/promises';
import type { BigIntStats } from 'node:fs';
import { errnoOf } from '../../../../base/errors.js';
import { imageError } from '../image-error.js';

export interface FolderAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: string;
}

type LowerNode =
  | { readonly kind: 'absent' }
  | { readonly kind: 'dir'; readonly sources: readonly string[]; readonly attributes: FolderAttributes }
  | { readonly kind: 'symlink'; readonly target: string }
  | { readonly kind: 'other' };

const absent: LowerNode = { kind: 'absent' };
const maxSymlinks = 40;

/** A cleaned path without leading slash, '' for the root. Throws for one that climbs out of the root. */
export function cleanPath(path: string, what: string): string {
  if (path.includes('\0')) throw imageError('layer-invalid', `read layer: ${what} ${quoted(path)} holds a zero byte`);
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) {
      throw imageError('layer-invalid', `read layer: ${what} ${quoted(path)} leaves the image`);
    }
  }
  return parts.join('/');
}

export function quoted(path: string): string {
  return JSON.stringify(Buffer.from(path, 'latin1').toString('utf8').slice(0, 300));
}

/**
 * The tree an entry of a layer lands in: the folders and symbolic links this layer has made so far, over those of the layers below.
 * Resolves names as a process inside the image would, so that nothing that is handed on goes through a symbolic link.
 * Paths are bytes as latin1.
 */
export class LayerPaths {
  /** Folders of this layer that were handed to tar, and its symbolic links by target. */
  readonly #own = new Map<string, { readonly symlink: string | undefined }>();
  readonly #lower = new Map<string, LowerNode>();

  /** `lowerDirs`: unpacked layers below, topmost first. */
  constructor(lowerDirs: readonly string[]) {
    this.#lower.set('', { kind: 'dir', sources: lowerDirs, attributes: { mode: 0o755, uid: 0, gid: 0, mtime: '0' } });
  }

  noteEntry(path: string, kind: string, linkPath: string): void {
    if (kind === 'dir') this.#own.set(path, { symlink: undefined });
    else if (kind === 'symlink') this.#own.set(path, { symlink: linkPath });
    // A hard link to a symbolic link is a symbolic link.
    else if (kind === 'hardlink' && this.#own.get(linkPath)?.symlink !== undefined) {
      this.#own.set(path, { symlink: this.#own.get(linkPath)?.symlink });
    } else this.#own.delete(path);
  }

  /**
   * Where `path` really is: symbolic links in its folder part are followed inside the root. `onFolder` is told of each
   * folder on the way that this layer has not made yet, with the attributes it has below.
   */
  async resolve(path: string, onFolder?: (path: string, attributes: FolderAttributes) => void): Promise<string> {
    const parts = path.split('/');
    const last = parts.pop() as string;
    let current = '';
    let followed = 0;
    while (parts.length > 0) {
      const part = parts.shift() as string;
      if (part === '' || part === '.') continue;
      if (part === '..') {
        current = current.slice(0, Math.max(0, current.lastIndexOf('/')));
        continue;
      }
      const next = current === '' ? part : `${current}/${part}`;
      const target = await this.#symlinkAt(next);
      if (target !== undefined) {
        if (++followed > maxSymlinks) {
          throw imageError('layer-invalid', `read layer: ${quoted(path)} has too many levels of symbolic links`);
        }
        if (target.startsWith('/')) current = '';
        parts.unshift(...target.split('/'));
        continue;
      }
      current = next;
      if (onFolder !== undefined && !this.#own.has(current)) {
        onFolder(current, await this.attributesBelow(current));
        this.#own.set(current, { symlink: undefined });
      }
    }
    return current === '' ? last : `${current}/${last}`;
  }

  /** The attributes of a folder in the layers below; those of a new folder when there is none. */
  async attributesBelow(path: string): Promise<FolderAttributes> {
    const node = await this.#below(path);
    return node.kind === 'dir' ? node.attributes : { mode: 0o755, uid: 0, gid: 0, mtime: '0' };
  }

  async #symlinkAt(path: string): Promise<string | undefined> {
    const own = this.#own.get(path);
    if (own !== undefined) return own.symlink;
    const node = await this.#below(path);
    return node.kind === 'symlink' ? node.target : undefined;
  }

  async #below(path: string): Promise<LowerNode> {
    const known = this.#lower.get(path);
    if (known !== undefined) return known;
    const slash = path.lastIndexOf('/');
    const parent = await this.#below(slash < 0 ? '' : path.slice(0, slash));
    const node = parent.kind === 'dir' ? await lookBelow(parent.sources, path) : absent;
    this.#lower.set(path, node);
    return node;
  }
}

/** Looks into each layer that has the parent as a real folder, so that no lookup goes through a symbolic link. */
async function lookBelow(layers: readonly string[], path: string): Promise<LowerNode> {
  const sources: string[] = [];
  let attributes: FolderAttributes | undefined;
  for (const layer of layers) {
    const file = Buffer.from(`${Buffer.from(layer).toString('latin1')}/${path}`, 'latin1');
    const stat = await lstatIfPresent(file);
    if (stat === undefined) continue;
    if (stat.isDirectory()) {
      sources.push(layer);
      attributes ??= folderAttributes(stat);
    } else if (attributes !== undefined) break;
    else if (stat.isSymbolicLink()) {
      return { kind: 'symlink', target: (await readlink(file, 'buffer')).toString('latin1') };
    } else return stat.isCharacterDevice() && stat.rdev === 0n ? absent : { kind: 'other' };
  }
  return attributes === undefined ? absent : { kind: 'dir', sources, attributes };
}

export function folderAttributes(stat: BigIntStats): FolderAttributes {
  const seconds = stat.mtimeNs / 1_000_000_000n;
  const nanos = stat.mtimeNs % 1_000_000_000n;
  return {
    mode: Number(stat.mode & 0o7777n),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mtime: nanos > 0n ? `${seconds}.${String(nanos).padStart(9, '0')}` : String(seconds > 0n ? seconds : 0n),
  };
}

async function lstatIfPresent(path: Buffer): Promise<BigIntStats | undefined> {
  try {
    return await lstat(path, { bigint: true });
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return undefined;
    throw err;
  }
}
