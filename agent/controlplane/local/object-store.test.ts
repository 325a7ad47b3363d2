import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Clock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import { keyOf, ObjectStore, type StoredObject } from './object-store.js';
import { Sealer } from './sealed-file.js';

let dir: string;
let now = Date.UTC(2026, 0, 1);
const clock: Clock = { now: () => now, sleep: () => Promise.resolve() };

beforeEach(async () => {
  now = Date.UTC(2026, 0, 1);
  dir = await mkdtemp(join(tmpdir(), 'berth-objects-'));
});
afterEach(async () => await rm(dir, { recursive: true, force: true }));

const open = async (): Promise<ObjectStore> =>
  await ObjectStore.open(join(dir, 'objects'), await Sealer.open(join(dir, 'key')), { clock, log: silentLogger });

const map = (name: string, value = 'v'): StoredObject =>
  ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'default' },
    data: { value },
  }) as StoredObject;

const ageOf = (store: ObjectStore, name: string): string | undefined =>
  store.get(keyOf(map(name)))?.metadata?.creationTimestamp;

test('an object of a manifest is as old as its first sight, after edits and restarts too', async () => {
  const store = await open();
  const first = map('a');
  store.setManifestObjects([first], true);
  expect(ageOf(store, 'a')).toBe('2026-01-01T00:00:00Z');
  now += 60_000;
  store.setManifestObjects([map('a', 'edited'), map('b')], true);
  expect([ageOf(store, 'a'), ageOf(store, 'b')]).toEqual(['2026-01-01T00:00:00Z', '2026-01-01T00:01:00Z']);
  now += 60_000;
  const times = join(dir, 'objects/manifest-objects.json');
  await expect.poll(async () => await readFile(times, 'utf8')).toContain('default/b');
  const again = await open();
  // Before the folder was read: nothing is forgotten.
  again.setManifestObjects([], false);
  again.setManifestObjects([map('a', 'edited'), map('b')], true);
  expect([ageOf(again, 'a'), ageOf(again, 'b')]).toEqual(['2026-01-01T00:00:00Z', '2026-01-01T00:01:00Z']);
  // Gone and back is another one.
  again.setManifestObjects([map('b')], true);
  again.setManifestObjects([map('a'), map('b')], true);
  expect(ageOf(again, 'a')).toBe('2026-01-01T00:02:00Z');
});

test('what did not change wakes nobody', async () => {
  const store = await open();
  const [a, b] = [map('a'), map('b')];
  store.setManifestObjects([a, b], true);
  const told: string[] = [];
  using watching = store.onAnyChange(({ name }) => told.push(name));
  void watching;
  store.setManifestObjects([a, b], true);
  expect(told).toEqual([]);
  store.setManifestObjects([a, map('b', 'edited')], true);
  expect(told).toEqual(['b']);
});

test('a damaged file of times costs the ages and nothing else', async () => {
  (await open()).setManifestObjects([map('a')], true);
  await expect.poll(async () => await readdir(join(dir, 'objects'))).toEqual(['manifest-objects.json']);
  await writeFile(join(dir, 'objects/manifest-objects.json'), '{');
  now += 60_000;
  const store = await open();
  store.setManifestObjects([map('a')], true);
  expect(ageOf(store, 'a')).toBe('2026-01-01T00:01:00Z');
  expect((await readdir(join(dir, 'objects'))).some((name) => name.includes('.corrupt-'))).toBe(true);
});
