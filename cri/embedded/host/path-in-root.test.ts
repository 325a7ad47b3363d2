import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pathInRoot, readTextInRoot } from './path-in-root.js';

let folder: string;
let root: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-path-'));
  root = join(folder, 'root');
  await mkdir(join(root, 'etc/sub'), { recursive: true });
  await writeFile(join(folder, 'secret'), 'outside');
  await writeFile(join(root, 'etc/real'), 'inside');
  await symlink('/etc/real', join(root, 'absolute'));
  await symlink('../../../../secret', join(root, 'etc/climb'));
  await symlink(join(folder, 'secret'), join(root, 'out'));
  await symlink('/etc', join(root, 'folder'));
  await symlink('loop', join(root, 'loop'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

test.each([
  ['/etc/real', 'etc/real'],
  ['etc//./real', 'etc/real'],
  ['/absolute', 'etc/real'],
  ['/folder/sub/../real', 'etc/real'],
  ['/etc/climb', 'secret'],
  ['/../../../etc', 'etc'],
  ['/missing/below', 'missing/below'],
])('%s is %s of the root', async (path, expected) => {
  expect(await pathInRoot(root, path)).toBe(join(root, expected));
});

test('a link to outside leads to a path inside', async () => {
  expect(await pathInRoot(root, '/out')).toBe(`${root}${folder}/secret`);
  expect(await readTextInRoot(root, '/out', 1000)).toBe('');
  expect(await readTextInRoot(root, '/etc/climb', 1000)).toBe('');
  expect(await readTextInRoot(root, '/absolute', 1000)).toBe('inside');
});

test('loops end, folders and large files are not read', async () => {
  await expect(pathInRoot(root, '/loop')).rejects.toThrow(/too many symbolic links/);
  expect(await readTextInRoot(root, '/etc', 1000)).toBe('');
  expect(await readTextInRoot(root, '/etc/real', 3)).toBe('');
  expect(await pathInRoot(root, '/')).toBe(root);
});
