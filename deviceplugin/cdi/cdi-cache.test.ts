import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../../base/log.js';
import { CdiCache } from './cdi-cache.js';

let folder: string;
let etc: string;
let run: string;
let cache: CdiCache;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-cdi-'));
  etc = join(folder, 'etc');
  run = join(folder, 'run');
  await mkdir(etc);
  cache = new CdiCache({ folders: [etc, run] }, { log: silentLogger });
});
afterEach(async () => {
  cache[Symbol.dispose]();
  await rm(folder, { recursive: true });
});

const spec = (env: string, ...names: string[]): string =>
  JSON.stringify({
    cdiVersion: '0.5.0',
    kind: 'vendor.com/gpu',
    containerEdits: { env: [`FILE=${env}`] },
    devices: names.map((name) => ({ name, containerEdits: { env: [`DEVICE_${name}=${env}`] } })),
  });

/** As writers do it: the file appears whole. */
async function put(path: string, text: string): Promise<void> {
  await writeFile(`${path}.tmp`, text);
  await rename(`${path}.tmp`, path);
}

async function eventually(look: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error('not within 20 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('the file’s edits come once, before those of its devices', async () => {
  await put(join(etc, 'a.json'), spec('etc', 'a', 'b'));
  expect(await cache.devices()).toEqual(['vendor.com/gpu=a', 'vendor.com/gpu=b']);
  const { env } = await cache.resolve(['vendor.com/gpu=b', 'vendor.com/gpu=a', 'vendor.com/gpu=b']);
  expect(env).toEqual(['FILE=etc', 'DEVICE_b=etc', 'DEVICE_a=etc']);
});

test('changes are seen: new files, a folder that comes later, files that go', async () => {
  expect(await cache.devices()).toEqual([]);
  await put(join(etc, 'a.json'), spec('etc', 'a'));
  await eventually(async () => (await cache.devices()).length === 1);
  await mkdir(run);
  await put(join(run, 'b.yaml'), spec('run', 'b'));
  await eventually(async () => (await cache.devices()).length === 2);
  await put(join(etc, 'a.json'), spec('etc', 'c'));
  await eventually(async () => (await cache.devices()).includes('vendor.com/gpu=c'));
  await rm(run, { recursive: true });
  await eventually(async () => !(await cache.devices()).includes('vendor.com/gpu=b'));
  await mkdir(run);
  await put(join(run, 'b.yaml'), spec('run', 'b'));
  await eventually(async () => (await cache.devices()).includes('vendor.com/gpu=b'));
});

test('the later folder wins; two files of one folder with the same device are a conflict', async () => {
  await mkdir(run);
  await put(join(etc, 'a.json'), spec('etc', 'a', 'b'));
  await put(join(run, 'a.json'), spec('run', 'a'));
  await put(join(etc, 'other.json'), spec('other', 'b', 'c'));
  expect((await cache.resolve(['vendor.com/gpu=a'])).env).toEqual(['FILE=run', 'DEVICE_a=run']);
  expect(await cache.devices()).toEqual(['vendor.com/gpu=a', 'vendor.com/gpu=c']);
  expect((await cache.problems()).map((problem) => problem.path)).toEqual([
    join(etc, 'other.json'),
    join(etc, 'a.json'),
  ]);
  await expect(cache.resolve(['vendor.com/gpu=b'])).rejects.toThrow(/described by .*a\.json and .*other\.json/);
});

test('what cannot be resolved is named, with files that are broken', async () => {
  await put(join(etc, 'broken.json'), '{');
  await put(join(etc, 'notes.txt'), 'no spec');
  await put(join(etc, 'a.json'), spec('etc', 'a'));
  await expect(cache.resolve(['vendor.com/gpu=a', 'vendor.com/gpu=x'])).rejects.toMatchObject({
    failure: { code: 'unresolved', devices: ['vendor.com/gpu=x'] },
    message: expect.stringMatching(/broken\.json: parse as json/) as string,
  });
  await expect(cache.resolve(['/dev/x'])).rejects.toThrow(/does not read vendor\.com\/class=device/);
});
