import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { errnoOf } from '../../../../base/errors.js';
import { feedProgram, throughProgram } from './feed-program.js';
import { imageError, ImageError } from '../image-error.js';
import { reasonFromWords } from '../classify-failure.js';
import { LayerFilter, type LayerMarkers, type LayerSize } from './layer-filter.js';
import { folderAttributes, LayerPaths, quoted, type FolderAttributes } from './layer-paths.js';
import { endOfArchive, formatEntry, type TarEntry } from './tar-format.js';

export interface UnpackRequest {
  /** The layer's blob, compressed or not. */
  readonly blob: string;
  /** What the uncompressed stream must hash to. */
  readonly diffId: string;
  /** An empty folder of its own; on failure the caller removes it with what is in it. */
  readonly target: string;
  /** Unpacked layers below, topmost first. */
  readonly lowerDirs: readonly string[];
  readonly programs: { readonly tar: string; readonly zstd: string };
}

/** UTF-8 for attribute names; file names are passed as bytes. */
const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' };

/**
 * Unpacks one layer as an overlayfs lower directory. GNU tar does the writing (ownership, modes, times, devices, capabilities and other
 * attributes); `LayerFilter` decides what it gets to see. Whiteouts follow in a second, small archive, because what they mean
 * depends on whether the same layer also has the file. (umoci unpacks whole images into one tree: no layers to share, no whiteouts to keep.)
 */
export async function unpackLayer(request: UnpackRequest, signal: AbortSignal): Promise<LayerSize> {
  const paths = new LayerPaths(request.lowerDirs);
  const filter = new LayerFilter(paths);
  const hash = createHash(request.diffId.slice(0, request.diffId.indexOf(':')));
  try {
    const plain = hashed(uncompressed(request), hash);
    await runTar(request, filter.filter(plain), signal);
  } catch (err) {
    signal.throwIfAborted();
    throw asLayerError(err);
  }
  const digest = `${request.diffId.slice(0, request.diffId.indexOf(':'))}:${hash.digest('hex')}`;
  if (digest !== request.diffId) {
    throw imageError('layer-invalid', `unpack layer: its content is ${digest}, the image says ${request.diffId}`);
  }
  const { markers, size } = filter.result;
  if (markers.whiteouts.length + markers.opaqueFolders.length > 0) await applyMarkers(request, markers, paths, signal);
  return size;
}

async function runTar(request: UnpackRequest, archive: AsyncIterable<Buffer>, signal: AbortSignal): Promise<string> {
  const argv = [
    request.programs.tar,
    '--extract',
    '--file=-',
    `--directory=${request.target}`,
    '--numeric-owner',
    '--same-owner',
    '--same-permissions',
    '--delay-directory-restore',
    '--xattrs',
    '--xattrs-include=*',
    '--warning=no-timestamp',
  ] as const;
  const { code, stderr } = await feedProgram(argv, env, archive, signal);
  if (code === 0) return stderr;
  const words = stderr.trim().slice(-2000);
  const reason = reasonFromWords(words) === 'disk-full' ? 'disk-full' : 'layer-invalid';
  throw imageError(reason, `unpack layer: tar exited with ${String(code)}: ${words}`);
}

async function* hashed(pieces: AsyncIterable<Buffer>, hash: Hash): AsyncGenerator<Buffer> {
  for await (const piece of pieces) {
    hash.update(piece);
    yield piece;
  }
}

/** The media type is not to be trusted; the first bytes are. Nothing is open before the first piece is asked for. */
async function* uncompressed(request: UnpackRequest): AsyncGenerator<Buffer> {
  const head = Buffer.alloc(4);
  const file = await open(request.blob, 'r');
  try {
    await file.read(head, 0, 4, 0);
  } finally {
    await file.close();
  }
  const blob = createReadStream(request.blob, { highWaterMark: 256 * 1024 });
  if (head[0] === 0x1f && head[1] === 0x8b) yield* gunzipped(blob);
  else if (head.readUInt32LE() === 0xfd2fb528) yield* throughProgram([request.programs.zstd, '-dc'], env, blob);
  else for await (const piece of blob) yield piece as Buffer;
}

async function* gunzipped(blob: Readable): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: 256 * 1024 });
  blob.once('error', (err) => gunzip.destroy(err));
  try {
    for await (const piece of blob.pipe(gunzip)) yield piece as Buffer;
  } finally {
    blob.destroy();
    gunzip.destroy();
  }
}

function asLayerError(err: unknown): Error {
  if (err instanceof ImageError) return err;
  const words = err instanceof Error ? err.message : String(err);
  // zlib's own words for a damaged or cut blob: "unexpected end of file", "incorrect data check".
  const isZlib = err instanceof Error && 'code' in err && String(err.code).startsWith('Z_');
  if (isZlib) return imageError('layer-invalid', `unpack layer: the blob is damaged: ${words}`, err);
  if (errnoOf(err) === 'ENOSPC') return imageError('disk-full', `unpack layer: ${words}`, err);
  return imageError('failed', `unpack layer: ${words}`, err);
}

/**
 * A whiteout is a character device 0/0 where the layer has nothing of that name; a folder that replaces what is below is
 * opaque; a file of the same name already hides the lower one.
 */
async function applyMarkers(
  request: UnpackRequest,
  markers: LayerMarkers,
  paths: LayerPaths,
  signal: AbortSignal,
): Promise<void> {
  const opaque = new Set(markers.opaqueFolders);
  const devices = new Set<string>();
  for (const path of markers.whiteouts) {
    const kind = await kindOf(request.target, path);
    if (kind === undefined) devices.add(path);
    else if (kind === 'dir') opaque.add(path);
  }
  const touched = new Set([...devices].map((path) => path.slice(0, Math.max(0, path.lastIndexOf('/')))));
  const parts: Buffer[] = [];
  for (const path of devices) parts.push(formatEntry({ ...blank, kind: 'char', path }));
  // Making the devices changed the times of their folders; naming those again puts them back.
  for (const path of new Set([...touched, ...opaque])) {
    const attributes = await folderNow(request.target, path, paths);
    const xattrs = opaque.has(path) ? opaqueXattr : blank.xattrs;
    parts.push(formatEntry({ ...blank, ...attributes, kind: 'dir', path: path === '' ? './' : path, xattrs }));
  }
  const said = await runTar(request, Readable.from([...parts, endOfArchive]), signal);
  // tar only warns when an attribute cannot be set, but without it files that the layer removes would come back.
  if (said.includes('trusted.overlay')) {
    throw imageError('layer-invalid', `unpack layer: the file system cannot keep what overlayfs needs: ${said.trim()}`);
  }
}

const opaqueXattr: ReadonlyMap<string, string> = new Map([['trusted.overlay.opaque', 'y']]);
const blank: TarEntry = {
  kind: 'dir',
  path: '',
  linkPath: '',
  mode: 0,
  uid: 0,
  gid: 0,
  mtime: '0',
  size: 0,
  devMajor: 0,
  devMinor: 0,
  xattrs: new Map(),
};

function inTarget(target: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${target}/`), Buffer.from(path, 'latin1')]);
}

async function kindOf(target: string, path: string): Promise<'dir' | 'other' | undefined> {
  await assertRealFolders(target, path);
  try {
    return (await lstat(inTarget(target, path))).isDirectory() ? 'dir' : 'other';
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return undefined;
    throw err;
  }
}

/** A later entry of the layer may have put a symbolic link where a folder was when the whiteout came by. */
async function assertRealFolders(target: string, path: string): Promise<void> {
  const parts = path.split('/').slice(0, -1);
  for (let depth = 1; depth <= parts.length; depth++) {
    const folder = parts.slice(0, depth).join('/');
    if (!(await lstat(inTarget(target, folder))).isDirectory()) {
      throw imageError(
        'layer-invalid',
        `unpack layer: whiteout ${quoted(path)} goes through something that is no folder`,
      );
    }
  }
}

async function folderNow(target: string, path: string, paths: LayerPaths): Promise<FolderAttributes> {
  await assertRealFolders(target, path);
  const stat = await lstat(inTarget(target, path), { bigint: true });
  return stat.isDirectory() ? folderAttributes(stat) : await paths.attributesBelow(path);
}
