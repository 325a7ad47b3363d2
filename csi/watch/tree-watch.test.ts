import { watch as watchFolder, type FSWatcher } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { silentLogger } from '../../base/log.js';
import { TreeWatch } from './tree-watch.js';

const settleMs = 5;
const soon = { timeout: 20_000, interval: 5 };

let root: string;
let wakeUps = 0;
let watch: TreeWatch;

beforeEach(async () => {
  root = join(await mkdtemp(join(tmpdir(), 'berth-tree-')), 'watched');
  wakeUps = 0;
  watch = new TreeWatch({ root, mode: 0o755, depth: 2, settleMs }, { onChange: () => wakeUps++, log: silentLogger });
  await watch.start();
});
afterEach(async () => {
  watch[Symbol.dispose]();
  await rm(join(root, '..'), { recursive: true });
});

const closing = (watcher: FSWatcher): Disposable => ({ [Symbol.dispose]: () => watcher.close() });

async function wakesAfter(change: () => Promise<unknown>): Promise<void> {
  const before = wakeUps;
  await change();
  await vi.waitFor(() => expect(wakeUps).toBeGreaterThan(before), soon);
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
  const told: (string | null)[] = [];
  using _other = closing(watchFolder(root, (_event, name) => void told.push(name)));
  await writeFile(join(root, '.hidden'), '');
  await writeFile(join(root, '.hidden'), 'more');
  await mkdir(join(root, '.git'));
  // Who watches beside has heard of them: so has it, and it wakes after its time to settle or not at all.
  await vi.waitFor(() => expect(told).toContain('.git'), soon);
  await new Promise((resolve) => setTimeout(resolve, 20 * settleMs));
  expect(wakeUps).toBe(0);
  await wakesAfter(() => writeFile(join(root, 'seen'), ''));
});
