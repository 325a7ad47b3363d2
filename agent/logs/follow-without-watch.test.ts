import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect, test, vi } from 'vitest';
import { readContainerLog } from './read-container-log.js';

vi.mock('node:fs', async (original) => ({
  ...(await original()),
  watch: () => {
    throw Object.assign(new Error('System limit for number of file watchers reached'), { code: 'ENOSPC' });
  },
}));

test('a log is followed also on a machine whose watches are used up', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'berth-logs-'));
  try {
    const log = join(dir, 'default_web_u1', 'main', '0.log');
    await mkdir(join(log, '..'), { recursive: true });
    await writeFile(log, '2026-01-02T03:04:05Z stdout F one\n');
    const place = { podLogsDir: dir, podFolder: 'default_web_u1', container: 'main', attempt: 0 };
    const out = new PassThrough({ encoding: 'utf8' });
    const stop = new AbortController();
    const reading = readContainerLog(place, { follow: { ended: () => false } }, out, stop.signal);
    const pieces = out[Symbol.asyncIterator]() as AsyncIterator<string>;
    expect((await pieces.next()).value).toBe('one\n');
    await appendFile(log, '2026-01-02T03:04:05Z stdout F two\n');
    expect((await pieces.next()).value).toBe('two\n');
    stop.abort();
    await reading;
  } finally {
    await rm(dir, { recursive: true });
  }
});
