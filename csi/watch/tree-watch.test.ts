import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { silentLogger } from '../../base/log.js';
import { TreeWatch } from './tree-watch.js';

let root: string;
let wakeUps = 0;
let watch: TreeWatch;

beforeEach(async () => {
  root = join(await mkdtemp(join(tmpdir(), 'berth-tree-')), 'watched');
  wakeUps = 0;
  watch = new TreeWatch({ root, mode: 0o755, depth: 2, settleMs: 5 }, { onChange: () => wakeUps++, log: silentLogger });
  await watch.start();
});
afterEach(async () => {
  watch[Symbol.dispose]();
  await rm(join(root, '..'), { recursive: true });
});

async function wakesAfter(change: () => Promise<unknown>): Promise<void> {
  const before = wakeUps;
  await change();
  await vi.waitFor(() => expect(wakeUps).toBeGreaterThan(before), { timeout: 9000, interval: 5 });
}

test('sees files in the root, in new folders, and in folders that were replaced', async () => {
  await wakesAfter(() => writeFile(join(root, 'a'), ''));
  await wakesAfter(() => mkdir(join(root, 'sub')));
  await wakesAfter(() => writeFile(join(root, 'sub', 'b'), ''));
  await wakesAfter(() => rename(join(root, 'sub'), join(root, 'old')));
  await wakesAfter(() => mkdir(join(root, 'sub')));
  await wakesAfter(() => writeFile(join(root, 'sub', 'c'), ''));
});

test('makes the root again when somebody removes it', async () => {
  await wakesAfter(() => rm(root, { recursive: true }));
  await wakesAfter(() => writeFile(join(root, 'a'), ''));
});

test('does not wake for names that begin with a dot', async () => {
  await writeFile(join(root, '.hidden'), '');
  await wakesAfter(() => writeFile(join(root, 'seen'), ''));
  const count = wakeUps;
  await writeFile(join(root, '.hidden'), 'more');
  await mkdir(join(root, '.git'));
  await wakesAfter(() => writeFile(join(root, 'seen-too'), ''));
  expect(wakeUps - count).toBeLessThanOrEqual(2);
});
