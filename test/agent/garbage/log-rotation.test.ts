import { link, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { Clock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import { LogRotator } from '../../../agent/garbage/index.js';
import { LeakCheck } from '../../support/leak-check.js';
import { ConmonContainer } from './conmon-container.js';
import { until } from '../../support/until.js';

const { signal } = new AbortController();

/** Each look is in a second of its own, so that rotated files have names of their own. */
function steppingClock(): Clock {
  let seconds = Date.UTC(2026, 0, 1) / 1000;
  return { now: () => ++seconds * 1000, sleep: () => Promise.resolve() };
}

async function allLines(logPath: string): Promise<string[]> {
  const folder = dirname(logPath);
  const names = (await readdir(folder)).sort();
  // "0.log" sorts before what was rotated away earlier.
  const ordered = [...names.slice(1), ...names.slice(0, 1)];
  const texts = await Promise.all(
    ordered.map(async (name) => {
      const bytes = await readFile(join(folder, name));
      return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
    }),
  );
  return texts.join('').split('\n').filter(Boolean);
}

/** What the container wrote: a line tagged P goes on in the next one. */
function written(lines: readonly string[]): string {
  return lines
    .map((line) => {
      const [, , tag, ...payload] = line.split(' ');
      return payload.join(' ') + (tag === 'F' ? '\n' : '');
    })
    .join('');
}

test('a container that writes all the time loses no line', async () => {
  await using _leaks = await LeakCheck.open({ tokens: ['berth-conmon-'], kinds: ['process', 'cgroup', 'mount'] });
  // Until it was rotated often enough, however slow the machine is.
  await using container = await ConmonContainer.open(
    'i=0; until [ -e /enough ]; do echo "line $i"; i=$((i+1)); done; echo "$i in all"',
  );
  const rotator = new LogRotator(
    { maxBytes: 128 * 1024, maxFiles: 1000 },
    { clock: steppingClock(), log: silentLogger, reopen: () => container.reopen() },
  );
  const enough = 8;
  let rotations = 0;
  await until('the container to end', async () => {
    if (await container.ended()) return true;
    rotations += await rotator.rotateAll([{ containerId: container.id, path: container.logPath }], signal);
    if (rotations >= enough) await writeFile(join(container.folder, 'rootfs', 'enough'), '');
    return false;
  }).catch(async (err: unknown) => {
    throw new Error(`${rotations} rotations\n${await container.state()}`, { cause: err });
  });
  await rotator.rotateAll([], signal);
  const text = written(await allLines(container.logPath));
  const count = Number(/(\d+) in all\n$/.exec(text)?.[1]);
  const whole = Array.from({ length: count }, (_, n) => `line ${n}\n`).join('');
  expect(text === `${whole}${count} in all\n`, `all of ${count} lines`).toBe(true);
  expect(
    (await readdir(dirname(container.logPath))).filter((name) => name.endsWith('.gz')).length,
  ).toBeGreaterThanOrEqual(rotations - 1);
});

test('no more files than allowed stay, the older ones compressed', async () => {
  await using folder = await tempFolder();
  const path = join(folder.path, '0.log');
  const rotator = new LogRotator(
    { maxBytes: 10, maxFiles: 4 },
    { clock: steppingClock(), log: silentLogger, reopen: () => writeFile(path, '') },
  );
  for (let n = 0; n < 8; n++) {
    await writeFile(path, `number ${n} is long enough\n`, { flag: 'a' });
    expect(await rotator.rotateAll([{ containerId: 'c', path }], signal)).toBe(1);
  }
  const names = (await readdir(folder.path)).sort();
  expect(names).toHaveLength(4);
  expect(names.map((name) => name.endsWith('.gz'))).toEqual([false, true, true, false]);
  expect((await allLines(path)).map((line) => line.split(' ')[1])).toEqual(['5', '6', '7']);
});

test('a runtime that cannot reopen leaves the log where it was, and what it does later loses nothing', async () => {
  await using folder = await tempFolder();
  const path = join(folder.path, '0.log');
  await writeFile(path, 'first line\n');
  const before = await stat(path);
  let works = false;
  const rotator = new LogRotator(
    { maxBytes: 1, maxFiles: 5 },
    {
      clock: steppingClock(),
      log: silentLogger,
      reopen: () => (works ? writeFile(path, '') : Promise.reject(new Error('no answer'))),
    },
  );
  expect(await rotator.rotateAll([{ containerId: 'c', path }], signal)).toBe(0);
  expect((await stat(path)).ino).toBe(before.ino);
  // conmon comes late: it makes a new file and puts it in the log's place.
  await writeFile(`${path}.tmp`, 'second line\n');
  await rename(`${path}.tmp`, path);
  expect(await allLines(path)).toEqual(['first line', 'second line']);
  works = true;
  expect(await rotator.rotateAll([{ containerId: 'c', path }], signal)).toBe(1);
  expect(await allLines(path)).toEqual(['first line', 'second line']);
});

test('the second name of a log whose reopen failed for good goes at the next rotation', async () => {
  await using folder = await tempFolder();
  const path = join(folder.path, '0.log');
  await writeFile(path, 'only line\n');
  await link(path, `${path}.20250101-000000`);
  const rotator = new LogRotator(
    { maxBytes: 1, maxFiles: 5 },
    { clock: steppingClock(), log: silentLogger, reopen: () => writeFile(path, '') },
  );
  expect(await rotator.rotateAll([{ containerId: 'c', path }], signal)).toBe(1);
  expect(await allLines(path)).toEqual(['only line']);
});

test('a log somebody removed is reopened', async () => {
  await using folder = await tempFolder();
  const path = join(folder.path, '0.log');
  const reopened: string[] = [];
  const rotator = new LogRotator(
    { maxBytes: 1, maxFiles: 5 },
    { clock: steppingClock(), log: silentLogger, reopen: (id) => Promise.resolve(void reopened.push(id)) },
  );
  await rotator.rotateAll([{ containerId: 'c', path }], signal);
  expect(reopened).toEqual(['c']);
});

async function tempFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'berth-rotate-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}
