import { chmod, cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Logger } from '../../../../base/log.js';
import { makeBusyboxImage } from '../../../setup/busybox-image.js';
import { hostProgram } from '../../../support/host-program.js';
import { missingProgram, never, tempFolder, TempStore } from './temp-store.js';
import { programsOf, untilTrue } from '../../../support/test-registry.js';

const missing = await missingProgram('skopeo', 'tar', '/bin/busybox');
const name = 'docker.io/library/busybox:latest';

/** Keeps the messages of warnings. */
function warnings(): Logger & { readonly heard: string[] } {
  const heard: string[] = [];
  const log: Logger & { readonly heard: string[] } = {
    heard,
    debug() {},
    info() {},
    warn: (_, message) => void heard.push(message),
    error: (_, message) => void heard.push(message),
    child: () => log,
  };
  return log;
}

describe.skipIf(missing !== undefined)(`image store (missing: ${missing ?? 'nothing'})`, () => {
  let folder: AsyncDisposable & { readonly path: string };
  let archive: string;
  let otherArchive: string;

  beforeAll(async () => {
    folder = await tempFolder();
    archive = join(folder.path, 'box.tar');
    otherArchive = join(folder.path, 'other.tar');
    await makeBusyboxImage({ path: archive });
    await makeBusyboxImage({ path: otherArchive, reference: 'other:1', files: { '/other': 'other' } });
  });

  afterAll(async () => folder[Symbol.asyncDispose]());

  test('names come and go; the image stays until it is removed', async () => {
    await using temp = await TempStore.open();
    const { store } = temp;
    const [image] = await store.importArchive(archive, {}, never);
    const id = String(image?.id);
    await store.tag('busybox', 'localhost:5000/box:2', never);
    expect(store.find('localhost:5000/box:2')?.id).toBe(id);
    await store.untag('busybox', never);
    expect(store.find('busybox')).toBeUndefined();
    await expect(store.untag('busybox', never)).rejects.toMatchObject({ failure: { reason: 'not-found' } });
    await store.pin(id, true, never);
    expect(store.find(id)).toMatchObject({ pinned: true, repoTags: ['localhost:5000/box:2'] });
    await store.untag('localhost:5000/box:2', never);
    expect(store.find(id.slice(7, 17))?.repoTags).toEqual([]);
    await expect(store.tag('nope', 'x:1', never)).rejects.toMatchObject({ failure: { code: 'not-found' } });
    await expect(store.tag(id, `x@${id}`, never)).rejects.toMatchObject({ failure: { reason: 'name-invalid' } });
    const reopened = await temp.reopen();
    expect(reopened.find(id)).toMatchObject({ pinned: true, repoTags: [] });
    await reopened.removeImage({ image: { image: id } }, never);
    expect(await temp.content()).toEqual({ layers: [], records: [], blobs: [], work: [] });
  });

  test('ages, usage and what skopeo itself sees of the layout', async () => {
    let now = 1_700_000_000_000;
    await using temp = await TempStore.open({}, { clock: { now: () => now, sleep: async () => {} } });
    await temp.store.importArchive(archive, {}, never);
    await temp.store.importArchive(otherArchive, {}, never);
    now += 60_000;
    temp.store.find('busybox');
    await temp.store.tag('other:1', 'other:2', never);
    await temp.reopen();
    const { images, totalBytes, inodes, layerBytes } = temp.store.usage();
    expect(images.map((image) => [image.repoTags[0], image.lastUsed - image.firstSeen, image.imported])).toEqual([
      [name, 60_000, true],
      ['docker.io/library/other:1', 0, true],
    ]);
    // The estimate of what the layers take is near to what the disk says.
    const du = Number((await hostProgram(['du', '-s', '--block-size=1', join(temp.dir, 'l')])).split('\t')[0]);
    expect(Math.abs(layerBytes - du) / du).toBeLessThan(0.05);
    const fs = await temp.store.imageFsInfo({}, never);
    expect(fs.imageFilesystems?.[0]).toMatchObject({
      fsId: { mountpoint: join(temp.dir, 'l') },
      usedBytes: { value: totalBytes },
      inodesUsed: { value: inodes },
    });
    const manifest = await hostProgram(['skopeo', 'inspect', '--raw', `oci:${join(temp.dir, 'oci')}:${name}`]);
    expect(JSON.parse(manifest)).toMatchObject({ config: { digest: images[0]?.id } });
  });

  for (const [what, harm, names] of [
    ['is gone', async (dir: string) => rm(join(dir, 'images.json')), true],
    ['is corrupt', async (dir: string) => writeFile(join(dir, 'images.json'), '{"version":1'), true],
    [
      'is another version',
      async (dir: string) => writeFile(join(dir, 'images.json'), '{"version":9,"checksum":"","data":[]}'),
      true,
    ],
    [
      'is gone with the index of the layout',
      async (dir: string) => {
        await rm(join(dir, 'images.json'));
        await writeFile(join(dir, 'oci/index.json'), 'garbage');
      },
      false,
    ],
  ] as const) {
    test(`the list ${what}: images are found again${names ? ' with their names' : ''}`, async () => {
      await using temp = await TempStore.open();
      await temp.store.importArchive(archive, { pinned: true }, never);
      await temp.store.importArchive(otherArchive, {}, never);
      await temp.store.tag('busybox', 'second:name', never);
      const before = temp.store.listImages({}, never);
      await harm(temp.dir);
      const store = await temp.reopen();
      const ids = (await before).images?.map((image) => image.id);
      expect((await store.listImages({}, never)).images?.map((image) => image.id).sort()).toEqual(ids?.toSorted());
      if (names) {
        expect(store.find('second:name')).toMatchObject({
          pinned: true,
          repoTags: [name, 'docker.io/library/second:name'],
        });
        expect(store.find('other:1')?.pinned).toBe(false);
      }
    });
  }

  test('a damaged layer record or config costs that image only', async () => {
    const log = warnings();
    await using temp = await TempStore.open({}, { log });
    await temp.store.importArchive(archive, {}, never);
    const [image] = await temp.store.importArchive(otherArchive, {}, never);
    await rm(join(temp.dir, 'images.json'));
    await writeFile(join(temp.dir, 'oci/blobs/sha256', String(image?.id).slice(7)), 'damaged');
    for (const record of await readdir(join(temp.dir, 'layers')))
      await writeFile(join(temp.dir, 'layers', record), 'x');
    const store = await temp.reopen();
    expect(store.find('other:1')).toBeUndefined();
    expect(await readFile(join(String(store.find('busybox')?.lowerDirs[0]), 'etc/passwd'), 'utf8')).toContain('root');
    expect(log.heard).toContain('image lost: its blobs cannot be read');
    expect(log.heard).toContain('layer record dropped');
  });

  test('killed while a layer is unpacked: nothing of it counts and nothing stays', async () => {
    await using work = await tempFolder(['process']);
    await using own = await tempFolder(['process']);
    const slowTar = join(work.path, 'tar');
    const marker = join(work.path, 'unpacked');
    await writeFile(slowTar, `#!/bin/sh\ntar "$@" || exit\ncase "$*" in *xattrs*) touch ${marker}; sleep 600;; esac\n`);
    await chmod(slowTar, 0o755);
    await using temp = await TempStore.open({ tarPath: slowTar, dir: own.path });
    const stop = new AbortController();
    const running = temp.store.importArchive(archive, {}, stop.signal);
    running.catch(() => {});
    await untilTrue('the layer is unpacked', async () =>
      stat(marker).then(
        () => true,
        () => false,
      ),
    );
    await using killed = await tempFolder();
    await cp(temp.dir, killed.path, { recursive: true });
    stop.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
    expect(await programsOf(temp.dir)).toEqual([]);
    expect(await temp.content()).toEqual({ layers: [], records: [], blobs: [], work: [] });
    // And killed between the folder's move to its place and its record.
    await mkdir(join(killed.path, 'l', '1', 'etc'), { recursive: true });
    await using after = await TempStore.open({ dir: killed.path });
    expect(await after.content()).toEqual({ layers: [], records: [], blobs: [], work: [] });
    await after.store.importArchive(archive, {}, never);
    expect(after.store.find('busybox')).toBeDefined();
  });

  test('layers that containers have mounted outlive their image until a sweep', async () => {
    const inUse = new Set<string>();
    await using temp = await TempStore.open({}, { layersInUse: () => inUse });
    const [image] = await temp.store.importArchive(archive, {}, never);
    const lower = String(image?.lowerDirs[0]);
    inUse.add(lower);
    await temp.store.removeImage({ image: { image: 'busybox' } }, never);
    expect(temp.store.find('busybox')).toBeUndefined();
    expect(await readdir(lower)).toContain('bin');
    expect(temp.store.usage().unreferencedBytes).toBeGreaterThan(0);
    // Also over a restart: the runtime says what it uses only after it has looked.
    const store = await temp.reopen();
    expect(await readdir(lower)).toContain('bin');
    inUse.clear();
    await store.sweep();
    expect(await temp.content()).toEqual({ layers: [], records: [], blobs: [], work: [] });
  });

  for (const [sizeKib, where] of [
    [1024, 'while blobs are copied'],
    [3300, 'while a layer is unpacked'],
  ] as const) {
    test(`the disk is full ${where}: said so, nothing stays, and it works when there is room`, async () => {
      await using disk = await tempFolder(['mount']);
      await hostProgram(['mount', '-t', 'tmpfs', '-o', `size=${sizeKib}k`, 'tmpfs', disk.path]);
      try {
        await using temp = await TempStore.open({ dir: disk.path });
        const before = await temp.content();
        await expect(temp.store.importArchive(archive, {}, never)).rejects.toMatchObject({
          failure: { reason: 'disk-full', code: 'resource-exhausted' },
        });
        expect(await temp.content()).toEqual(before);
        await hostProgram(['mount', '-o', 'remount,size=64m', disk.path]);
        await temp.store.importArchive(archive, {}, never);
        expect(temp.store.find('busybox')).toBeDefined();
      } finally {
        await hostProgram(['umount', disk.path]);
      }
    });
  }

  test('a layer that cannot be unpacked again at the start, for want of room, costs nothing', async () => {
    await using disk = await tempFolder();
    await hostProgram(['mount', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk.path]);
    try {
      await using temp = await TempStore.open({ dir: disk.path });
      await temp.store.importArchive(archive, {}, never);
      for (const record of await readdir(join(disk.path, 'layers'))) await rm(join(disk.path, 'layers', record));
      await rm(join(disk.path, 'l', '1'), { recursive: true });
      const filler = join(disk.path, 'filler');
      await writeFile(filler, Buffer.alloc(5 * 1024 * 1024));
      const store = await temp.reopen();
      expect(store.find('busybox')).toBeUndefined();
      await store.sweep();
      await rm(filler);
      const later = await temp.reopen();
      expect(await readdir(String(later.find('busybox')?.lowerDirs[0]))).toContain('bin');
    } finally {
      await hostProgram(['umount', disk.path]);
    }
  });

  test('a closed store says so', async () => {
    await using temp = await TempStore.open();
    await temp.store[Symbol.asyncDispose]();
    await expect(temp.store.importArchive(archive, {}, never)).rejects.toMatchObject({
      failure: { code: 'cancelled' },
    });
  });
});
