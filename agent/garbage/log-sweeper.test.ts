import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../../base/log.js';
import { sweepLogs } from './log-sweeper.js';

const { signal } = new AbortController();

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'berth-sweep-'));
});
afterEach(() => rm(dir, { recursive: true }));

test('folders of pods that are gone go, and links that lead nowhere; not those of a log that is being rotated', async () => {
  const podLogsDir = join(dir, 'pods');
  const containerLogsDir = join(dir, 'containers');
  await mkdir(containerLogsDir);
  for (const name of ['default_web_known', 'default_old_gone', 'not-of-a-pod'])
    await mkdir(join(podLogsDir, name), { recursive: true });
  const logOf = (name: string): string => join(podLogsDir, 'default_web_known', name);
  await writeFile(logOf('there.log'), '');
  const links = {
    'there.log': logOf('there.log'),
    'ended.log': logOf('ended.log'),
    // Its runtime has not opened the new file yet.
    'rotated.log': logOf('rotated.log'),
    'foreign.log': '/nowhere/else.log',
  };
  for (const [name, target] of Object.entries(links)) await symlink(target, join(containerLogsDir, name));
  await writeFile(join(containerLogsDir, 'no-link.log'), '');

  const removed: string[] = [];
  await sweepLogs(
    { podLogsDir, containerLogsDir },
    {
      log: silentLogger,
      isKnown: (uid) => uid === 'known',
      isWritten: (path) => path === logOf('rotated.log'),
      removePod: (uid) => Promise.resolve(void removed.push(uid)),
    },
    signal,
  );
  expect(removed).toEqual(['gone']);
  expect((await readdir(containerLogsDir)).sort()).toEqual(['foreign.log', 'no-link.log', 'rotated.log', 'there.log']);
});
