import { imageError } from '../image-error.js';

/**
 * The tar format at the level a layer filter needs. The npm packages for tar turn extended headers into text, which destroys binary
 * attributes (`security.capability`), and none of them writes devices with attributes; so names and values stay bytes here,
 * as latin1 strings.
 */
export type TarKind = 'file' | 'hardlink' | 'symlink' | 'char' | 'block' | 'dir' | 'fifo';

export interface TarEntry {
  readonly kind: TarKind;
  readonly path: string;
  readonly linkPath: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds as decimal text, with a fraction where the archive has one. */
  readonly mtime: string;
  readonly size: number;
  readonly devMajor: number;
  readonly devMinor: number;
  /** Extended attributes; values are bytes as latin1. */
  readonly xattrs: ReadonlyMap<string, string>;
}

export const blockSize = 512;
const xattrPrefix = 'SCHILY.xattr.';

const kindsByFlag: Readonly<Record<string, TarKind>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'dir',
  '6': 'fifo',
};
const flagsByKind: Readonly<Record<TarKind, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  char: '3',
  block: '4',
  dir: '5',
  fifo: '6',
};

function broken(why: string): Error {
  return imageError('layer-invalid', `read layer: ${why}`);
}

export interface RawHeader {
  readonly flag: string;
  readonly size: number;
  readonly block: Buffer;
}

/** One header block; undefined for the zero block that ends an archive. */
export function parseRawHeader(block: Buffer): RawHeader | undefined {
  let sum = 0;
  for (let at = 0; at < blockSize; at++) sum += at >= 148 && at < 156 ? 32 : (block[at] as number);
  if (sum === 8 * 32) return undefined;
  if (sum !== readNumber(block, 148, 8)) throw broken('header checksum is wrong, the archive is damaged');
  return { flag: String.fromCharCode(block[156] as number), size: readNumber(block, 124, 12), block };
}

function readText(block: Buffer, at: number, length: number): string {
  const end = block.indexOf(0, at);
  return block.toString('latin1', at, end < 0 || end > at + length ? at + length : end);
}

/** Octal text, or the base-256 form of GNU tar for numbers that do not fit. */
function readNumber(block: Buffer, at: number, length: number): number {
  const first = block[at] as number;
  if ((first & 0x80) !== 0) {
    let value = first & 0x7f;
    for (let i = at + 1; i < at + length; i++) value = value * 256 + (block[i] as number);
    if (!Number.isSafeInteger(value)) throw broken('a number in a header is out of range');
    return value;
  }
  const digits = readText(block, at, length).trim();
  if (digits === '') return 0;
  if (!/^[0-7]+$/.test(digits)) throw broken('a number in a header is not octal');
  return Number.parseInt(digits, 8);
}

/** "LENGTH KEY=VALUE\n" records (pax, section "pax Extended Header"). */
export function parsePax(bytes: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  let at = 0;
  while (at < bytes.length && bytes[at] !== 0) {
    const space = bytes.indexOf(0x20, at);
    const length = space < 0 ? Number.NaN : Number(bytes.toString('latin1', at, space));
    const equals = bytes.indexOf(0x3d, space);
    if (!Number.isInteger(length) || length < 5 || at + length > bytes.length || equals < 0 || equals >= at + length) {
      throw broken('an extended header is malformed');
    }
    records.set(bytes.toString('latin1', space + 1, equals), bytes.toString('latin1', equals + 1, at + length - 1));
    at += length;
  }
  return records;
}

export interface EntryOverrides {
  readonly pax: ReadonlyMap<string, string>;
  readonly longName: string | undefined;
  readonly longLink: string | undefined;
}

/** Puts header and extensions together; throws for kinds of entries that no layer needs. */
export function parseEntry(header: RawHeader, overrides: EntryOverrides): TarEntry {
  const { block, flag } = header;
  const { pax } = overrides;
  const kind = kindsByFlag[flag];
  for (const key of pax.keys()) if (key.startsWith('GNU.sparse.')) throw broken('sparse entries are not supported');
  if (kind === undefined) throw broken(`entries of type ${JSON.stringify(flag)} are not supported`);
  const isPosix = block.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = isPosix ? readText(block, 345, 155) : '';
  const shortName = readText(block, 0, 100);
  const path = pax.get('path') ?? overrides.longName ?? (prefix === '' ? shortName : `${prefix}/${shortName}`);
  const xattrs = new Map<string, string>();
  for (const [key, value] of pax) if (key.startsWith(xattrPrefix)) xattrs.set(key.slice(xattrPrefix.length), value);
  return {
    // Archives from before POSIX mark a folder by the slash alone.
    kind: kind === 'file' && path.endsWith('/') ? 'dir' : kind,
    path,
    linkPath: pax.get('linkpath') ?? overrides.longLink ?? readText(block, 157, 100),
    mode: readNumber(block, 100, 8) & 0o7777,
    uid: paxNumber(pax, 'uid') ?? readNumber(block, 108, 8),
    gid: paxNumber(pax, 'gid') ?? readNumber(block, 116, 8),
    mtime: paxTime(pax) ?? String(readTime(block)),
    size: kind === 'file' ? (paxNumber(pax, 'size') ?? header.size) : 0,
    devMajor: kind === 'char' || kind === 'block' ? readNumber(block, 329, 8) : 0,
    devMinor: kind === 'char' || kind === 'block' ? readNumber(block, 337, 8) : 0,
    xattrs,
  };
}

/** Times before 1970 come as negative base-256 numbers; they are not worth keeping. */
function readTime(block: Buffer): number {
  return block[136] === 0xff ? 0 : readNumber(block, 136, 12);
}

function paxNumber(pax: ReadonlyMap<string, string>, key: string): number | undefined {
  const value = pax.get(key);
  if (value === undefined) return undefined;
  if (!/^\d{1,15}$/.test(value)) throw broken(`the ${key} of an extended header is no number`);
  return Number(value);
}

function paxTime(pax: ReadonlyMap<string, string>): string | undefined {
  const value = pax.get('mtime');
  if (value === undefined) return undefined;
  if (!/^-?\d{1,15}(\.\d{0,30})?$/.test(value)) throw broken('the mtime of an extended header is no number');
  return value;
}

/** The header blocks of an entry; its content and padding follow. */
export function formatEntry(entry: TarEntry): Buffer {
  const parts: Buffer[] = [];
  const pax: Buffer[] = [];
  for (const [key, value] of entry.xattrs) pax.push(paxRecord(`${xattrPrefix}${key}`, value));
  if (!/^\d{1,11}$/.test(entry.mtime)) pax.push(paxRecord('mtime', entry.mtime));
  // GNU's own long names: bytes as they are, where the extended header's `path` would go through a character set.
  if (entry.path.length > 100) parts.push(...extension('L', Buffer.from(`${entry.path}\0`, 'latin1')));
  if (entry.linkPath.length > 100) parts.push(...extension('K', Buffer.from(`${entry.linkPath}\0`, 'latin1')));
  if (pax.length > 0) parts.push(...extension('x', Buffer.concat(pax)));
  parts.push(headerBlock(entry, flagsByKind[entry.kind]));
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
}

/** Zero bytes after content of `size`. */
export function padding(size: number): Buffer {
  return Buffer.alloc((blockSize - (size % blockSize)) % blockSize);
}

export const endOfArchive: Buffer = Buffer.alloc(2 * blockSize);

function paxRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.from(`${length}${rest}`, 'latin1');
}

const plain = { linkPath: '', mode: 0o644, uid: 0, gid: 0, mtime: '0', devMajor: 0, devMinor: 0 };

function extension(flag: string, content: Buffer): Buffer[] {
  const header = headerBlock({ ...plain, path: '././@LongLink', size: content.length }, flag);
  return [header, content, padding(content.length)];
}

function headerBlock(entry: Omit<TarEntry, 'kind' | 'xattrs'>, flag: string): Buffer {
  const block = Buffer.alloc(blockSize);
  block.write(entry.path.slice(0, 100), 0, 'latin1');
  writeNumber(block, 100, 8, entry.mode);
  writeNumber(block, 108, 8, entry.uid);
  writeNumber(block, 116, 8, entry.gid);
  writeNumber(block, 124, 12, entry.size);
  writeNumber(block, 136, 12, /^\d{1,11}$/.test(entry.mtime) ? Number(entry.mtime) : 0);
  block.write('        ', 148, 'latin1');
  block.write(flag, 156, 'latin1');
  block.write(entry.linkPath.slice(0, 100), 157, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  writeNumber(block, 329, 8, entry.devMajor);
  writeNumber(block, 337, 8, entry.devMinor);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function writeNumber(block: Buffer, at: number, length: number, value: number): void {
  const digits = value.toString(8);
  if (digits.length < length) {
    block.write(digits.padStart(length - 1, '0'), at, 'latin1');
    return;
  }
  let rest = value;
  for (let i = at + length - 1; i > at; i--) {
    block[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  block[at] = 0x80;
}
