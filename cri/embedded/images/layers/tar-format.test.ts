import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { endOfArchive, formatEntry, padding, parsePax, type TarEntry } from './tar-format.js';
import { TarReader } from './tar-reader.js';

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function readAll(bytes: Buffer, pieceSize: number): Promise<Array<TarEntry & { content: string }>> {
  const reader = new TarReader(inPieces(bytes, pieceSize));
  const entries: Array<TarEntry & { content: string }> = [];
  for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
    const parts: Buffer[] = [];
    for await (const piece of reader.content()) parts.push(piece);
    entries.push({ ...entry, content: Buffer.concat(parts).toString('latin1') });
  }
  return entries;
}

const bytes = (maxLength: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: 1, maxLength }).map((array) => Buffer.from(array).toString('latin1'));
const name = bytes(300).map((text) => `n${text.replaceAll('\0', '_')}x`);

const entry = fc.record({
  kind: fc.constantFrom(
    'file' as const,
    'dir' as const,
    'symlink' as const,
    'hardlink' as const,
    'char' as const,
    'fifo' as const,
  ),
  path: name,
  link: name,
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
  gid: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
  mtime: fc.constantFrom('0', '1700000000', '1700000000.123456789', '99999999999'),
  devMajor: fc.nat(4000),
  devMinor: fc.nat(200_000),
  content: bytes(2000),
  xattrs: fc.dictionary(fc.constantFrom('user.a', 'security.capability', 'trusted.x'), bytes(60)),
});

describe('tar', () => {
  test('what is written is read back, whatever the names, numbers and attribute bytes, in any pieces', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(entry, { maxLength: 6 }),
        fc.integer({ min: 1, max: 3000 }),
        async (items, pieceSize) => {
          const expected = items.map((item) => {
            const isDevice = item.kind === 'char';
            const content = item.kind === 'file' ? item.content : '';
            return {
              kind: item.kind,
              path: item.path,
              linkPath: item.kind === 'symlink' || item.kind === 'hardlink' ? item.link : '',
              mode: item.mode,
              uid: item.uid,
              gid: item.gid,
              mtime: item.mtime,
              size: content.length,
              devMajor: isDevice ? item.devMajor : 0,
              devMinor: isDevice ? item.devMinor : 0,
              xattrs: new Map(Object.entries(item.xattrs)),
              content,
            };
          });
          const parts = expected.flatMap((one) => [
            formatEntry(one),
            Buffer.from(one.content, 'latin1'),
            padding(one.size),
          ]);
          expect(await readAll(Buffer.concat([...parts, endOfArchive]), pieceSize)).toEqual(expected);
        },
      ),
      { numRuns: 150 },
    );
  });

  test('an archive cut anywhere inside an entry is refused', async () => {
    const whole = Buffer.concat([formatEntry({ ...plainFile, size: 700 }), Buffer.alloc(700, 0x61), padding(700)]);
    for (let cut = 1; cut < whole.length; cut += 13) {
      await expect(readAll(whole.subarray(0, cut), 512)).rejects.toThrow('cut short');
    }
    expect(await readAll(whole, 512)).toHaveLength(1); // some tools leave the end mark out
  });

  test.each([
    ['30 path=too-long-for-this\n', 'malformed'],
    ['x path=a\n', 'malformed'],
    ['8 path a\n', 'malformed'],
  ])('extended header %j is refused', (text, why) => {
    expect(() => parsePax(Buffer.from(text))).toThrow(why);
  });

  test('sparse entries are refused: their real name is in another place', async () => {
    const header = formatEntry({ ...plainFile, xattrs: new Map([['a', 'b']]) });
    const at = header.indexOf('SCHILY.xattr.a');
    header.write('GNU.sparse.nam', at, 'latin1');
    await expect(readAll(Buffer.concat([header, endOfArchive]), 512)).rejects.toThrow('sparse');
  });
});

const plainFile: TarEntry = {
  kind: 'file',
  path: 'f',
  linkPath: '',
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: '0',
  size: 0,
  devMajor: 0,
  devMinor: 0,
  xattrs: new Map(),
};
