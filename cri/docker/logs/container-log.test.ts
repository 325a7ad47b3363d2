import { appendFile, mkdtemp, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ContainerLog } from './container-log.js';
import { criLine } from './json-log.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'brt-log-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const json = (): string => join(folder, 'c-json.log');
const cri = (): string => join(folder, 'pod', '0.log');
const open = (): ContainerLog => new ContainerLog(json(), cri(), join(folder, 'state.json'));
const entry = (number: number): string =>
  `${JSON.stringify({ log: `line ${number}\n`, stream: 'stdout', time: '2026-01-02T03:04:05.1Z' })}\n`;
const write = async (from: number, to: number): Promise<void> => {
  for (let number = from; number <= to; number++) await appendFile(json(), entry(number));
};
const numbers = async (...paths: string[]): Promise<number[]> => {
  const texts = await Promise.all(paths.map(async (path) => await readFile(path, 'utf8')));
  return [...texts.join('').matchAll(/line (\d+)$/gm)].map((match) => Number(match[1]));
};
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

test('what is appended is brought over once; half a line waits for its rest', async () => {
  const log = open();
  await write(1, 3);
  await log.copy();
  await appendFile(json(), entry(4).slice(0, 20));
  await log.copy();
  expect(await numbers(cri())).toEqual(upTo(3));
  await appendFile(json(), entry(4).slice(20));
  await Promise.all([log.copy(), log.copy()]);
  expect(await numbers(cri())).toEqual(upTo(4));
});

test.each([
  ['whole', 0],
  ['cut short', 5],
])('a restart goes on after the last line that is there, %s', async (_name, cut) => {
  await write(1, 5);
  await open().copy();
  const { length } = await readFile(cri());
  await truncate(cri(), length - cut);
  await write(6, 8);
  await open().copy();
  expect(await numbers(cri())).toEqual(upTo(8));
});

test('Docker rotates its files while nobody looks', async () => {
  await write(1, 3);
  await open().copy();
  await write(4, 5);
  await rename(json(), `${json()}.1`);
  await write(6, 7);
  await open().copy();
  expect(await numbers(cri())).toEqual(upTo(7));
});

test('the CRI file is rotated: the next line begins a new one, also after a restart in between', async () => {
  const log = open();
  await write(1, 3);
  await log.copy();
  await rename(cri(), `${cri()}.1`);
  await write(4, 5);
  await log.copy();
  expect(await numbers(cri())).toEqual([4, 5]);
  await rename(cri(), `${cri()}.2`);
  await write(6, 7);
  await open().copy();
  expect(await numbers(`${cri()}.1`, `${cri()}.2`, cri())).toEqual(upTo(7));
});

test('a state file that is broken costs order, not lines', async () => {
  await write(1, 2);
  await open().copy();
  await writeFile(join(folder, 'state.json'), 'broken');
  await write(3, 3);
  await open().copy();
  expect(new Set(await numbers(cri()))).toEqual(new Set(upTo(3)));
});

test.each([
  [{ log: 'a\n', stream: 'stdout', time: '2026-01-02T03:04:05.12Z' }, '2026-01-02T03:04:05.120000000Z stdout F a\n'],
  [{ log: 'part', stream: 'stderr', time: '2026-01-02T03:04:05Z' }, '2026-01-02T03:04:05.000000000Z stderr P part\n'],
])('%j', (given, expected) => {
  expect(criLine(JSON.stringify(given))).toBe(expected);
});

test('what Docker did not write is still one line', () => {
  expect(criLine('garbage')).toBe('1970-01-01T00:00:00.000000000Z stderr F garbage\n');
});
