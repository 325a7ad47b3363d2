import { imageError } from '../image-error.js';
import { cleanPath, quoted, type FolderAttributes, type LayerPaths } from './layer-paths.js';
import { endOfArchive, formatEntry, padding, type TarEntry } from './tar-format.js';
import { TarReader } from './tar-reader.js';

/** What a layer hides of the layers below (image-spec layer.md, "Whiteouts"). Paths are bytes as latin1. */
export interface LayerMarkers {
  readonly whiteouts: string[];
  readonly opaqueFolders: string[];
}

export interface LayerSize {
  /** Bytes of content. */
  contentBytes: number;
  /** What it takes on disk, to blocks of 4 KiB. */
  diskBytes: number;
  inodes: number;
}

export interface LayerFilterResult {
  readonly markers: LayerMarkers;
  readonly size: LayerSize;
}

const whiteoutPrefix = '.wh.';
const opaqueMarker = '.wh..wh..opq';
const diskBlock = 4096;

/**
 * Turns the tar stream of a layer into one that is safe to hand to tar: no name leaves the root or goes through a symbolic link,
 * whiteouts are taken out (and returned), attributes that would steer overlayfs are dropped, and folders that the layer uses without
 * naming them get the attributes they have below instead of new ones.
 */
export class LayerFilter {
  readonly #paths: LayerPaths;
  readonly #markers: LayerMarkers = { whiteouts: [], opaqueFolders: [] };
  readonly #size: LayerSize = { contentBytes: 0, diskBytes: diskBlock, inodes: 1 };

  constructor(paths: LayerPaths) {
    this.#paths = paths;
  }

  get result(): LayerFilterResult {
    return { markers: this.#markers, size: this.#size };
  }

  async *filter(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const reader = new TarReader(pieces);
    try {
      yield* this.#entries(reader);
    } finally {
      await reader.close();
    }
  }

  async *#entries(reader: TarReader): AsyncGenerator<Buffer> {
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
      const path = cleanPath(entry.path, 'entry');
      const name = path.slice(path.lastIndexOf('/') + 1);
      const folders: Buffer[] = [];
      const onFolder = (folder: string, attributes: FolderAttributes): void => {
        folders.push(this.#implicitFolder(folder, attributes));
      };
      if (name.startsWith(whiteoutPrefix)) {
        await this.#takeWhiteout(path, name, onFolder);
        yield* folders;
        continue;
      }
      const resolved = path === '' ? '' : await this.#paths.resolve(path, onFolder);
      yield* folders;
      yield formatEntry(await this.#outgoing(entry, resolved));
      yield* reader.content();
      if (entry.size > 0) yield padding(entry.size);
    }
    // All of the stream counts for its digest, and tar may leave as soon as it sees the end.
    await reader.drain();
    yield endOfArchive;
  }

  async #takeWhiteout(path: string, name: string, onFolder: (p: string, a: FolderAttributes) => void): Promise<void> {
    // AUFS keeps notes of its own under this prefix; only the opaque marker has a meaning in an image.
    if (name.startsWith('.wh..wh.') && name !== opaqueMarker) return;
    const resolved = await this.#paths.resolve(path, onFolder);
    const folder = resolved.slice(0, Math.max(0, resolved.length - name.length - 1));
    if (name === opaqueMarker) {
      this.#markers.opaqueFolders.push(folder);
      return;
    }
    const hidden = name.slice(whiteoutPrefix.length);
    if (hidden === '' || hidden === '.' || hidden === '..') {
      throw imageError('layer-invalid', `read layer: whiteout ${quoted(path)} names no file`);
    }
    this.#markers.whiteouts.push(folder === '' ? hidden : `${folder}/${hidden}`);
    this.#count('char', 0);
  }

  async #outgoing(entry: TarEntry, path: string): Promise<TarEntry> {
    if (path === '' && entry.kind !== 'dir') {
      throw imageError('layer-invalid', 'read layer: its root is not a folder');
    }
    let { linkPath } = entry;
    if (entry.kind === 'hardlink') {
      linkPath = await this.#paths.resolve(cleanPath(linkPath, 'hard link target'));
      if (linkPath === '') throw imageError('layer-invalid', `read layer: hard link ${quoted(path)} names no file`);
    } else if (entry.kind === 'symlink') {
      if (linkPath === '' || linkPath.includes('\0')) {
        throw imageError('layer-invalid', `read layer: symbolic link ${quoted(path)} has no usable target`);
      }
    } else linkPath = '';
    if (path !== '') this.#paths.noteEntry(path, entry.kind, linkPath);
    this.#count(entry.kind, entry.size);
    return { ...entry, path: path === '' ? './' : path, linkPath, xattrs: withoutOverlay(entry.xattrs) };
  }

  #implicitFolder(path: string, attributes: FolderAttributes): Buffer {
    this.#count('dir', 0);
    const rest = { linkPath: '', size: 0, devMajor: 0, devMinor: 0, xattrs: new Map<string, string>() };
    return formatEntry({ kind: 'dir', path, ...attributes, ...rest });
  }

  #count(kind: TarEntry['kind'], size: number): void {
    if (kind === 'hardlink') return;
    this.#size.inodes++;
    this.#size.contentBytes += size;
    this.#size.diskBytes += kind === 'dir' ? diskBlock : Math.ceil(size / diskBlock) * diskBlock;
  }
}

/** `trusted.overlay.redirect` and its like would let a layer point anywhere in the layers below. */
function withoutOverlay(xattrs: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const kept = [...xattrs].filter(([name]) => !/^(?:trusted|user)\.overlay\./.test(name));
  return kept.length === xattrs.size ? xattrs : new Map(kept);
}
