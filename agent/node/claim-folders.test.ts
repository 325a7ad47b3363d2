import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { claimFolders, claimsOf, type FolderClaim } from './claim-folders.js';

const { signal } = new AbortController();

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-claim-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const claim = (name: string): FolderClaim => ({ folder: join(folder, name), mode: 0o711 });

test('a folder has one holder; who cannot have all of them keeps none', async () => {
  const first = await claimFolders([claim('a')], signal);
  await expect(claimFolders([claim('b'), claim('a')], signal)).rejects.toMatchObject({
    failure: { code: 'claimed', folder: join(folder, 'a') },
    message: expect.stringContaining('another berth agent runs on this machine'),
  });
  await using _other = await claimFolders([claim('b')], signal);
  expect((await stat(join(folder, 'b'))).mode & 0o777).toBe(0o711);
  await first[Symbol.asyncDispose]();
  await using _again = await claimFolders([claim('a')], signal);
});

test('an agent on a runtime behind a socket leaves the folder of the embedded one to whoever serves it', () => {
  const paths = { rootDir: '/k', stateDir: '/s' };
  const foldersOf = (endpoint: string): string[] =>
    claimsOf({ paths, runtime: { endpoint } } as Parameters<typeof claimsOf>[0]).map((each) => each.folder);
  expect(foldersOf('embedded')).toEqual(['/k', '/s', '/s/runtime']);
  expect(foldersOf('unix:///run/berth/cri.sock')).toEqual(['/k', '/s']);
});
