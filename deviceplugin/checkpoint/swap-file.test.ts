import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { linkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SwapFile } from './swap-file.js';

let folder = '';
let path = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-swap-'));
  path = join(folder, 'state');
});
afterEach(async () => await rm(folder, { recursive: true, force: true }));

const content = async (): Promise<string> => await readFile(path, 'utf8');

test('each write is the whole content, longer or shorter than the one before', async () => {
  const file = new SwapFile(path);
  for (const text of ['first', 'a longer second text', 'x', '', 'é'.repeat(5000), 'last']) {
    await file.write(text);
    expect(await content()).toBe(text);
  }
  expect((await readdir(folder)).sort()).toEqual(['state', expect.stringMatching(/^state\.(spare|old)$/)]);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('the file is never written in place: one that is open keeps what it was', async () => {
  const file = new SwapFile(path);
  await file.write('one');
  await file.write('two');
  const before = (await stat(path)).ino;
  await file.write('three');
  expect((await stat(path)).ino).not.toBe(before);
});

test('what a kill left at any line is no danger to the file', async () => {
  writeFileSync(path, 'old');
  // Killed after the second name was given: it is the file itself.
  linkSync(path, join(folder, 'state.old'));
  linkSync(path, join(folder, 'state.spare'));
  const before = (await stat(path)).ino;
  const file = new SwapFile(path);
  await file.write('new');
  expect(await content()).toBe('new');
  expect((await stat(path)).ino).not.toBe(before);
  await file.write('newer');
  expect(await content()).toBe('newer');
});

test('a file that somebody took away is made again', async () => {
  const file = new SwapFile(path);
  await file.write('one');
  await file.write('two');
  await rm(path);
  await file.write('three');
  expect(await content()).toBe('three');
  await file.write('four');
  expect(await content()).toBe('four');
});

test('a folder that is not there: the write fails', async () => {
  const file = new SwapFile(join(folder, 'none', 'state'));
  await expect(file.write('x')).rejects.toThrow('ENOENT');
});
