import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../../base/log.js';
import { ProbeRecord } from './probe-record.js';

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'berth-probes-'));
});
afterEach(() => rm(dir, { recursive: true }));

const open = (): Promise<ProbeRecord> => ProbeRecord.open(join(dir, 'probes.json'), silentLogger);

test('the next agent knows which containers were not ready', async () => {
  {
    await using first = await open();
    first.set('a', 'unready');
    first.set('b', 'unstarted');
    first.set('c', 'unready');
    first.set('c', 'ready');
    expect(first.before('a')).toBe('ready');
  }
  await using second = await open();
  expect(['a', 'b', 'c', 'd'].map((id) => second.before(id))).toEqual(['unready', 'unstarted', 'ready', 'ready']);
});

test('what is not said again is forgotten', async () => {
  {
    await using first = await open();
    first.set('a', 'unready');
  }
  {
    await using second = await open();
    second.set('b', 'unready');
  }
  await using third = await open();
  expect([third.before('a'), third.before('b')]).toEqual(['ready', 'unready']);
});

test.each(['{', '{"version":1,"checksum":"x","data":{}}'])('a broken record is no obstacle', async (text) => {
  await writeFile(join(dir, 'probes.json'), text);
  await using record = await open();
  expect(record.before('a')).toBe('ready');
});
