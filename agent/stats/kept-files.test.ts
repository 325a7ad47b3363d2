import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { KeptFiles } from './kept-files.js';
import { SmallFiles } from './small-file.js';

let folder = '';
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  folder = mkdtempSync(join(tmpdir(), 'berth-kept-'));
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};

/** Descriptors of this process that lead into the folder. */
const open = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder);
    } catch {
      return false;
    }
  }).length;

test('each read is of what the file says now, from its beginning', () => {
  using files = new KeptFiles(new SmallFiles());
  const path = write('a', '1\n');
  for (const text of ['1\n', '22\n', '', 'max\n', 'x'.repeat(50_000)]) {
    write('a', text);
    expect(files.text(path)).toBe(text);
  }
  write('a', '33\n');
  expect(files.number(path)).toBe(33);
  expect(files.number(write('b', 'max'))).toBeUndefined();
  expect([files.held, open()]).toEqual([2, 2]);
});

test('what is not there is asked for again', () => {
  using files = new KeptFiles(new SmallFiles());
  expect(files.text(join(folder, 'late'))).toBeUndefined();
  expect(files.text(join(folder, 'late/below'))).toBeUndefined();
  expect(files.text(write('late', 'here'))).toBe('here');
});

test('no more are held than may be, and the others are read all the same', () => {
  using files = new KeptFiles(new SmallFiles(), { most: 2 });
  const paths = ['a', 'b', 'c'].map((name) => write(name, name));
  for (let round = 0; round < 2; round++) expect(paths.map((path) => files.text(path))).toEqual(['a', 'b', 'c']);
  expect([files.held, open()]).toEqual([2, 2]);
});

test('at rest nothing is held, and nothing ticks', () => {
  const files = new KeptFiles(new SmallFiles(), { idleMs: 60_000 });
  const [a, b] = [write('a', '1'), write('b', '2')];
  files.text(a);
  files.text(b);
  vi.advanceTimersByTime(60_000);
  expect(open()).toBe(2);
  files.text(a);
  vi.advanceTimersByTime(60_000);
  expect([files.held, open()]).toEqual([1, 1]);
  vi.advanceTimersByTime(60_000);
  expect([files.held, open(), vi.getTimerCount()]).toEqual([0, 0, 0]);
  expect(files.text(a)).toBe('1');
  files[Symbol.dispose]();
  expect([open(), vi.getTimerCount()]).toEqual([0, 0]);
});
