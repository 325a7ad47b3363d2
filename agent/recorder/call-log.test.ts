import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../../base/log.js';
import { CallLog } from './call-log.js';

const signal = new AbortController().signal;
let dir: string;
let now: number;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'berth-calls-'));
  now = 1000;
});
afterEach(() => rm(dir, { recursive: true }));

const open = (keep = 100, maxFileBytes = 1e6): CallLog =>
  new CallLog(
    { dir, maxFileBytes, keep, flushAfterMs: 60_000 },
    { clock: { now: () => now, sleep: () => Promise.resolve() }, log: silentLogger },
  );

function call(log: CallLog, verb: string, request?: unknown): void {
  const subject = { podName: 'web' };
  log.begin({ interface: 'cni', plugin: 'bridge', verb, subject, request })({ response: { fine: true } });
}
const verbs = (calls: readonly { call: { verb: string } }[]): string[] => calls.map(({ call: { verb } }) => verb);
const all = (): boolean => true;

test('calls of earlier runs are read back, oldest first and bounded, and not those that are in memory', async () => {
  const first = open();
  for (const verb of ['A', 'B', 'C']) call(first, verb);
  await first[Symbol.asyncDispose]();
  now = 2000;
  const second = open();
  call(second, 'D');
  // A run that was killed while it wrote.
  await appendFile(join(dir, 'calls.jsonl'), '{"id":9,"call":{"sub');
  expect(verbs(await second.earlier(all, 100, signal))).toEqual(['A', 'B', 'C']);
  expect(verbs(await second.earlier(all, 2, signal))).toEqual(['B', 'C']);
  expect(verbs(await second.earlier(({ call: { verb } }) => verb !== 'B', 100, signal))).toEqual(['A', 'C']);
  expect(await second.earlier(all, 1, signal)).toMatchObject([{ earlier: true, call: { verb: 'C' } }]);
  expect(verbs(second.list())).toEqual(['D']);
  await second[Symbol.asyncDispose]();
});

test('what memory let go of this run comes from the disk, without being called earlier', async () => {
  const log = open(2);
  for (const verb of ['A', 'B', 'C']) call(log, verb);
  await log[Symbol.asyncDispose]();
  expect(verbs(log.list())).toEqual(['B', 'C']);
  const found = await log.earlier(all, 100, signal);
  expect(verbs(found)).toEqual(['A']);
  expect(found[0]?.earlier).toBeUndefined();
});

test('two files at most, and no secret in either', async () => {
  const log = open(1000, 200);
  for (let round = 0; round < 5; round++) {
    call(log, `V${round}`, { password: 'hunter2', env: { TOKEN: 'hunter2' } });
    await log[Symbol.asyncDispose]();
  }
  const text = (
    await Promise.all(['calls.jsonl', 'calls.jsonl.1'].map((name) => readFile(join(dir, name), 'utf8')))
  ).join('');
  expect(text).toContain('***');
  expect(text).not.toContain('hunter2');
  expect(text.length).toBeLessThan(1500);
});
