import { randomBytes } from 'node:crypto';
import { watch } from 'node:fs';
import { mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProgram, type RunProgram } from '../../../../base/run-program.js';
import { makeImageArchive } from '../../../../cri/embedded/images/index.js';
import { missingProgram, never, tempFolder, TempStore } from './temp-store.js';
import { programsOf, TestRegistry, untilTrue } from '../../../support/test-registry.js';
import { hostProgram } from '../../../support/host-program.js';

const missing = await missingProgram('skopeo', 'docker-registry', 'tar', 'zstd');
const enough = new Error('nobody wants it any more');
/** All borders and many moments instead of some: minutes. */
const thorough = process.env['BERTH_TEST_THOROUGH'] !== undefined;

interface Cuts {
  /** Of the borders between deeds: the last ones, and as many of the others, evenly. */
  readonly borders: number;
  /** Of the clock, spread over the whole of an undisturbed run. */
  readonly moments: number;
}

/** Everything a store holds on disk, and what it says it has. */
async function picture(temp: TempStore): Promise<object> {
  const { images } = temp.store.usage();
  const stateFile = JSON.parse(await readFile(join(temp.dir, 'images.json'), 'utf8')) as { data: unknown[] };
  const index = JSON.parse(await readFile(join(temp.dir, 'oci/index.json'), 'utf8')) as { manifests: unknown[] };
  return {
    ...(await temp.content()),
    images: images.map(({ id, repoTags }) => ({ id, repoTags })),
    recorded: stateFile.data.length,
    named: index.manifests.length,
  };
}

/** Files of a folder that this process has open. */
async function openFilesIn(dir: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir('/proc/self/fd')) {
    const target = await readlink(join('/proc/self/fd', name)).catch(() => '');
    if (target.startsWith(dir)) found.push(target);
  }
  return found;
}

/** Aborts at the n-th border between deeds: before a program, after it, at a word of progress, at a record that is written. */
class Borders {
  passed = 0;
  #at = Infinity;
  #abort: (() => void) | undefined;

  arm(at: number, abort: () => void): void {
    this.passed = 0;
    this.#at = at;
    this.#abort = abort;
  }

  readonly cross = (): void => {
    if (++this.passed === this.#at) this.#abort?.();
  };

  readonly run: RunProgram = async (options, signal) => {
    this.cross();
    const result = await runProgram(options, signal);
    this.cross();
    return result;
  };
}

type Deed = (temp: TempStore, signal: AbortSignal, onProgress: () => void) => Promise<unknown>;

/** Cancels a deed at each border and at moments spread over it; after each, all is as it was, or the deed was done as a whole. */
async function sweep(
  cuts: Cuts,
  open: (run: RunProgram) => Promise<TempStore>,
  deed: Deed,
  undo: Deed,
): Promise<number> {
  const borders = new Borders();
  await using temp = await open(borders.run);
  // A record that is being written is a border too.
  using watching = watchFolders([temp.dir, join(temp.dir, 'layers'), join(temp.dir, 'oci')], borders.cross);
  void watching;
  const before = await picture(temp);

  const started = performance.now();
  borders.arm(Infinity, () => {});
  await deed(temp, never, borders.cross);
  const lasted = performance.now() - started;
  const atBorders = borders.passed;
  const done = await picture(temp);
  expect(done).not.toEqual(before);
  await undo(temp, never, () => {});
  expect(await picture(temp)).toEqual(before);

  let cancelled = 0;
  const moments = thorough ? 24 : cuts.moments;
  for (const at of [...someBorders(atBorders, cuts.borders), ...range(moments).map((moment) => atBorders + moment)]) {
    const stop = new AbortController();
    const abort = (): void => stop.abort(enough);
    const timer = at > atBorders ? setTimeout(abort, ((at - atBorders) / moments) * lasted * 1.05) : undefined;
    borders.arm(at > atBorders ? Infinity : at, abort);
    const outcome = await deed(temp, stop.signal, borders.cross).then(
      () => 'done' as const,
      (err: unknown) => err,
    );
    clearTimeout(timer);
    if (outcome !== 'done') {
      expect(outcome, `cancelled at ${at} of ${atBorders}`).toBe(enough);
      cancelled++;
    }
    expect(await programsOf(temp.dir)).toEqual([]);
    await untilTrue(`files closed after ${at}`, async () => (await openFilesIn(temp.dir)).length === 0);
    // Told after its last word was written it is there as a whole; at any other time there is nothing of it.
    const now = await picture(temp);
    if (outcome !== 'done' && JSON.stringify(now) === JSON.stringify(before)) continue;
    expect(shape(now), `at ${at} of ${atBorders}, ${String(outcome)}`).toEqual(shape(done));
    await undo(temp, never, () => {});
    expect(await picture(temp)).toEqual(before);
  }
  // The store is none the worse for it, and a new process finds the same.
  await deed(temp, never, () => {});
  expect(shape(await picture(temp))).toEqual(shape(done));
  const whole = await picture(temp);
  await temp.reopen();
  expect(await picture(temp)).toEqual(whole);
  return cancelled;
}

const range = (to: number): number[] => Array.from({ length: to }, (_, at) => at + 1);

function someBorders(all: number, some: number): number[] {
  if (thorough || some >= all) return range(all);
  const late = Math.ceil(some / 2);
  const early = some - late;
  const step = (all - late) / Math.max(1, early);
  return range(all).filter((at) => at > all - late || range(early).some((place) => Math.ceil(place * step) === at));
}

/** Folders of layers are numbered: how many there are counts. */
function shape(of: object): object {
  const { layers, ...rest } = of as { layers: string[] };
  return { ...rest, layers: layers.length };
}

function watchFolders(folders: readonly string[], onChange: () => void): Disposable {
  const watchers = folders.map((folder) => watch(folder, () => onChange()));
  return {
    [Symbol.dispose]() {
      for (const watcher of watchers) watcher.close();
    },
  };
}

describe.skipIf(missing !== undefined)(`cancelled (missing: ${missing ?? 'nothing'})`, () => {
  let folder: AsyncDisposable & { readonly path: string };
  let registry: TestRegistry;
  let base: string;
  const archives = new Map<'docker-archive' | 'oci-archive', string>();

  beforeAll(async () => {
    folder = await tempFolder();
    registry = await TestRegistry.open();
    const layer = async (name: string, bytes: number): Promise<string> => {
      const rootfs = join(folder.path, name);
      await mkdir(join(rootfs, name), { recursive: true });
      for (const file of ['a', 'b', 'c']) await writeFile(join(rootfs, name, file), randomBytes(bytes));
      return rootfs;
    };
    const shared = { rootfs: await layer('shared', 100_000) };
    const layers = [shared, { rootfs: await layer('middle', 2_000_000) }, { rootfs: await layer('top', 300_000) }];
    base = join(folder.path, 'base.tar');
    await makeImageArchive({ path: base, reference: 'localhost/base:1', layers: [shared] }, { run: runProgram }, never);
    for (const format of ['docker-archive', 'oci-archive'] as const) {
      const path = join(folder.path, `${format}.tar`);
      archives.set(format, path);
      const options = { path, reference: 'localhost/big:1', layers, format, compress: 'gzip' as const };
      await makeImageArchive(options, { run: runProgram }, never);
    }
    await registry.push(`oci-archive:${archives.get('oci-archive')}`, 'big:gzip');
    await registry.push(`oci-archive:${archives.get('oci-archive')}`, 'big:zstd', ['--dest-compress-format=zstd']);
  });

  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  /** With an image that shares a layer with the one that comes: it must stay whole. */
  const withBase = async (run: RunProgram): Promise<TempStore> => {
    const registries = { [registry.host]: { insecure: true } };
    const temp = await TempStore.open({ registries }, { run, layersInUse: () => new Set() });
    await temp.store.importArchive(base, {}, never);
    return temp;
  };

  const baseIsWhole = async (temp: TempStore): Promise<void> => {
    const [lower] = temp.store.find('localhost/base:1')?.lowerDirs ?? [];
    expect((await readdir(join(String(lower), 'shared'))).sort()).toEqual(['a', 'b', 'c']);
  };

  test.each([
    ['gzip', { borders: 8, moments: 3 }],
    ['zstd', { borders: 0, moments: 3 }],
  ])('a pull of %s layers, at any moment: nothing of it is left', async (kind, cuts) => {
    const image = { image: `${registry.host}/big:${kind}` };
    const cancelled = await sweep(
      cuts,
      withBase,
      async (temp, signal, onProgress) => {
        await temp.store.pullImage({ image }, signal, onProgress);
        await baseIsWhole(temp);
      },
      async (temp) => {
        await temp.store.removeImage({ image }, never);
        await baseIsWhole(temp);
      },
    );
    // A run that is faster than the first one may be over before the first moment; a border always comes.
    if (cuts.borders > 0) expect(cancelled).toBeGreaterThan(0);
  });

  test.each([
    ['docker-archive', { borders: 6, moments: 2 }],
    ['oci-archive', { borders: 0, moments: 4 }],
  ] as const)('an import of a %s, at any moment', async (format, cuts) => {
    const path = String(archives.get(format));
    const cancelled = await sweep(
      cuts,
      withBase,
      async (temp, signal) => await temp.store.importArchive(path, {}, signal),
      async (temp) => {
        await temp.store.removeImage({ image: { image: 'localhost/big:1' } }, never);
        await baseIsWhole(temp);
      },
    );
    if (cuts.borders > 0) expect(cancelled).toBeGreaterThan(0);
  });

  test('an export, at any moment: no file and no part of one', async () => {
    await using temp = await withBase(runProgram);
    await using out = await tempFolder();
    const path = join(out.path, 'base.tar');
    const started = performance.now();
    await temp.store.exportArchive('localhost/base:1', path, 'oci-archive', never);
    const lasted = performance.now() - started;
    await hostProgram(['rm', path]);
    const moments = range(thorough ? 24 : 4);
    for (const at of moments) {
      const stop = new AbortController();
      const timer = setTimeout(() => stop.abort(enough), (at / moments.length) * lasted);
      const name = join(out.path, `${at}.tar`);
      const outcome = await temp.store
        .exportArchive('localhost/base:1', name, 'oci-archive', stop.signal)
        .catch(() => at);
      clearTimeout(timer);
      expect(await readdir(out.path)).toEqual(outcome === undefined ? [`${at}.tar`] : []);
      if (outcome === undefined) await hostProgram(['rm', name]);
      expect((await temp.content()).work).toEqual([]);
    }
  });
});
