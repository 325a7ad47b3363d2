import { mkdtemp, readdir, readFile, readlink, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cleanPayloadPath, dataFolderName, writePayload, type Payload } from './atomic-writer.js';

const { signal } = new AbortController();
const now = Date.UTC(2026, 0, 2, 3, 4, 5);

function payload(files: Readonly<Record<string, string>>, mode = 0o644): Payload {
  return new Map(Object.entries(files).map(([path, text]) => [path, { data: Buffer.from(text), mode }]));
}

async function withFolder(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'berth-writer-'));
  try {
    await work(dir);
  } finally {
    await rm(dir, { recursive: true });
  }
}

test.each([
  ['a', 'a'],
  ['a/b', 'a/b'],
  ['a//./b/', 'a/b'],
  ['.hidden', '.hidden'],
  ['a/..b', 'a/..b'],
  ['a..', 'a..'],
])('path %s is written at %s', (path, clean) => {
  expect(cleanPayloadPath(path)).toBe(clean);
});

test.each([
  ['', 'must not be empty'],
  ['/a', 'must be relative path'],
  ['..', "must not contain '..'"],
  ['a/../b', "must not contain '..'"],
  ['..data', "must not start with '..'"],
  ['..data/x', "must not start with '..'"],
  ['./..data', "must not start with '..'"],
  ['.', 'must name a file'],
  ['x'.repeat(256), '255 characters'],
  ['a\0b', '255 characters'],
  [`${'x/'.repeat(2100)}y`, '4096 characters'],
])('path %j is refused', (path, words) => {
  expect(() => cleanPayloadPath(path)).toThrow(words);
});

test('no path that is accepted leaves the folder or meets the names of the writer', () => {
  const part = fc.constantFrom('..', '.', '', 'a', '..data', '..data_tmp', '..2026', 'b');
  fc.assert(
    fc.property(fc.array(part, { maxLength: 5 }), (parts) => {
      let clean: string;
      try {
        clean = cleanPayloadPath(parts.join('/'));
      } catch {
        return;
      }
      expect(join('/volume', clean)).toBe(`/volume/${clean}`);
      expect(clean.startsWith('..')).toBe(false);
    }),
  );
});

test('the folder is named after the time in UTC', () => {
  expect(dataFolderName(now)).toMatch(/^\.\.2026_01_02_03_04_05\.\d+$/);
});

test('nothing is written while content and modes are equal; one change makes a new folder', async () => {
  await withFolder(async (dir) => {
    const write = async (files: Payload): Promise<boolean> => await writePayload(dir, files, { now }, signal);
    expect(await write(payload({ a: '1', 'd/b': '2' }))).toBe(true);
    const first = await readlink(join(dir, '..data'));
    expect(await write(payload({ 'd/b': '2', a: '1' }))).toBe(false);
    expect(await readlink(join(dir, '..data'))).toBe(first);
    expect(await write(payload({ a: '1', 'd/b': '2' }, 0o600))).toBe(true);
    expect((await stat(join(dir, 'd/b'))).mode & 0o777).toBe(0o600);
    expect(await write(payload({ a: '1' }, 0o600))).toBe(true);
    expect((await readdir(dir)).filter((name) => !name.startsWith('..'))).toEqual(['a']);
  });
});

test('a file may become a folder and back', async () => {
  await withFolder(async (dir) => {
    for (const files of [{ x: 'file' }, { 'x/y': 'inside' }, { x: 'file again' }]) {
      await writePayload(dir, payload(files), { now }, signal);
      const [[path, text]] = Object.entries(files) as [[string, string]];
      expect(await readFile(join(dir, path), 'utf8')).toBe(text);
    }
  });
});

test('readers see old or new content whole, whatever sequence is written', async () => {
  const files = fc.dictionary(fc.constantFrom('a', 'b', 'd/e', 'd/f', 'g'), fc.string({ maxLength: 3 }));
  await fc.assert(
    fc.asyncProperty(fc.array(files, { minLength: 1, maxLength: 4 }), async (versions) => {
      await withFolder(async (dir) => {
        for (const version of versions) {
          await writePayload(dir, payload(version), { now }, signal);
          for (const [path, text] of Object.entries(version))
            expect(await readFile(join(dir, path), 'utf8')).toBe(text);
          const tops = new Set(Object.keys(version).map((path) => path.split('/')[0]));
          const shown = (await readdir(dir)).filter((name) => !name.startsWith('..'));
          expect(new Set(shown)).toEqual(tops);
        }
      });
    }),
    { numRuns: 30 },
  );
});
