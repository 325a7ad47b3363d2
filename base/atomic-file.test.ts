import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { removeUnfinishedWrites, StateFile, writeFileAtomic } from './atomic-file.js';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'berth-atomic-'));
});
afterEach(() => rm(dir, { recursive: true }));

const numbers = (value: unknown): number[] => {
  if (!Array.isArray(value)) throw new Error('not a list');
  return value as number[];
};

test('replaces a file as a whole with the mode asked for and leaves no other file', async () => {
  const path = join(dir, 'a');
  await writeFileAtomic(path, 'one');
  await writeFileAtomic(path, 'two', { mode: 0o640 });
  expect(await readFile(path, 'utf8')).toBe('two');
  expect((await stat(path)).mode & 0o777).toBe(0o640);
  expect(await readdir(dir)).toEqual(['a']);
});

test('a failed write leaves the old content and nothing else', async () => {
  await expect(writeFileAtomic(join(dir, 'no', 'such', 'folder'), 'x')).rejects.toThrow(/ENOENT/);
  expect(await readdir(dir)).toEqual([]);
});

test('a state file comes back as it was written', async () => {
  const file = new StateFile(join(dir, 's'), 1, numbers);
  expect(await file.read()).toEqual({ kind: 'missing' });
  await file.write([1, 2]);
  expect(await file.read()).toEqual({ kind: 'read', data: [1, 2] });
  await file.remove();
  expect(await file.read()).toEqual({ kind: 'missing' });
});

test.each([
  ['cut short', (text: string) => text.slice(0, -10)],
  ['changed', (text: string) => text.replace('[1,2]', '[1,3]')],
  ['of another version', (text: string) => text.replace('"version":1', '"version":9')],
  ['of another shape', () => '[]'],
])('a state file that is %s is set aside, not lost', async (_what, spoil) => {
  const path = join(dir, 's');
  const file = new StateFile(path, 1, numbers);
  await file.write([1, 2]);
  const spoilt = spoil(await readFile(path, 'utf8'));
  await writeFile(path, spoilt);
  const read = await file.read();
  expect(read.kind).toBe('set-aside');
  if (read.kind === 'set-aside') expect(await readFile(read.movedTo, 'utf8')).toBe(spoilt);
  expect(await file.read()).toEqual({ kind: 'missing' });
});

test('what a kill left of a write is removed, and nothing else', async () => {
  await writeFile(join(dir, 'a.json'), 'kept');
  await writeFile(join(dir, 'a.json.tmp-0123456789ab'), 'half');
  await writeFile(join(dir, 'a.tmp-notes'), 'not ours');
  await removeUnfinishedWrites(dir);
  expect((await readdir(dir)).toSorted()).toEqual(['a.json', 'a.tmp-notes']);
});
