import {
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  stat,
  writeFile,
  chmod,
  chown,
  link,
  symlink,
  truncate,
  utimes,
} from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runProgram } from '../../base/run-program.js';
import {
  ImageError,
  makeImageArchive,
  type ImageLayerSource,
  type StoredImage,
} from '../../cri/embedded/images/index.js';
import { endOfArchive, formatEntry, padding, type TarEntry } from '../../cri/embedded/images/tar-format.js';
import { sha256 } from '../../cri/embedded/images/oci-documents.js';
import { unpackLayer } from '../../cri/embedded/images/unpack-layer.js';
import { hostProgram } from '../support/host-program.js';
import { missingProgram, never, tempFolder, TempStore } from './temp-store.js';

const missing = await missingProgram('skopeo', 'tar', 'setfattr', 'getfattr', 'setcap');

type Item = Partial<TarEntry> & { readonly path: string; readonly content?: string };

/** A tar file of exactly these entries, whatever they say. */
function tarOf(...items: readonly Item[]): Buffer {
  const parts = items.flatMap((item) => {
    const content = Buffer.from(item.content ?? '');
    const entry: TarEntry = {
      kind: item.content === undefined ? 'dir' : 'file',
      linkPath: '',
      mode: item.content === undefined ? 0o755 : 0o644,
      uid: 0,
      gid: 0,
      mtime: '1000',
      devMajor: 0,
      devMinor: 0,
      xattrs: new Map(),
      ...item,
      size: content.length,
    };
    return [formatEntry(entry), content, padding(content.length)];
  });
  return Buffer.concat([...parts, endOfArchive]);
}

async function importLayers(
  temp: TempStore,
  folder: string,
  layers: ReadonlyArray<Buffer | ImageLayerSource>,
): Promise<StoredImage> {
  const sources: ImageLayerSource[] = [];
  for (const [at, layer] of layers.entries()) {
    if (!Buffer.isBuffer(layer)) sources.push(layer);
    else {
      const tar = join(folder, `layer-${at}.tar`);
      await writeFile(tar, layer);
      sources.push({ tar });
    }
  }
  const path = join(folder, 'image.tar');
  await makeImageArchive({ path, reference: 'layers:1', layers: sources }, { run: runProgram }, never);
  const [image] = await temp.store.importArchive(path, {}, never);
  return image as StoredImage;
}

/** What a container would see. */
async function merged<T>(folder: string, image: StoredImage, look: (root: string) => Promise<T>): Promise<T> {
  const dirs = { upper: join(folder, 'upper'), work: join(folder, 'work'), root: join(folder, 'merged') };
  for (const dir of Object.values(dirs)) await mkdir(dir, { recursive: true });
  const options = `lowerdir=${image.lowerDirs.join(':')},upperdir=${dirs.upper},workdir=${dirs.work}`;
  await hostProgram(['mount', '-t', 'overlay', 'overlay', '-o', options, dirs.root]);
  try {
    return await look(dirs.root);
  } finally {
    await hostProgram(['umount', dirs.root]);
  }
}

async function tree(root: string): Promise<string[]> {
  return (await hostProgram(['find', root, '-mindepth', '1', '-printf', '%P\\n'])).split('\n').filter(Boolean).sort();
}

describe.skipIf(missing !== undefined)(`layers (missing: ${missing ?? 'nothing'})`, () => {
  test('whiteouts and opaque folders hide what is below, in any order within the layer', async () => {
    await using folder = await tempFolder();
    await using temp = await TempStore.open();
    const bottom = tarOf(
      { path: 'gone', content: 'x' },
      { path: 'kept', content: 'x' },
      { path: 'opaque-first/' },
      { path: 'opaque-first/old', content: 'x' },
      { path: 'opaque-last/', mode: 0o700, uid: 7 },
      { path: 'opaque-last/old', content: 'x' },
      { path: 'dir-gone/' },
      { path: 'dir-gone/old', content: 'x' },
      { path: 'replaced/' },
      { path: 'replaced/old', content: 'x' },
      { path: 'again', content: 'old' },
      { path: 'deep/' },
      { path: 'deep/er/', mode: 0o711, gid: 9 },
      { path: 'deep/er/gone', content: 'x' },
      { path: 'unnamed-opaque/', mode: 0o701, uid: 3 },
      { path: 'unnamed-opaque/old', content: 'x' },
    );
    const top = tarOf(
      { path: '.wh.gone', content: '' },
      { path: 'opaque-first/.wh..wh..opq', content: '' },
      { path: 'opaque-first/', mode: 0o750 },
      { path: 'opaque-first/new', content: 'y' },
      { path: 'opaque-last/', mode: 0o711, mtime: '123456789.5' },
      { path: 'opaque-last/new', content: 'y' },
      { path: 'opaque-last/.wh..wh..opq', content: '' },
      { path: '.wh.dir-gone', content: '' },
      { path: '.wh.replaced', content: '' },
      { path: 'replaced/' },
      { path: 'replaced/new', content: 'y' },
      { path: 'again', content: 'new' },
      { path: '.wh.again', content: '' },
      { path: 'deep/er/.wh.gone', content: '' },
      { path: 'unnamed-opaque/.wh..wh..opq', content: '' },
      { path: '.wh..wh.plnk', content: '' },
    );
    const image = await importLayers(temp, folder.path, [bottom, top]);
    expect(image.lowerDirs).toHaveLength(2);
    await merged(folder.path, image, async (root) => {
      expect(await tree(root)).toEqual(
        [
          'again',
          'deep',
          'deep/er',
          'kept',
          'opaque-first',
          'opaque-first/new',
          'opaque-last',
          'opaque-last/new',
        ].concat(['replaced', 'replaced/new', 'unnamed-opaque']),
      );
      expect(await readFile(join(root, 'again'), 'utf8')).toBe('new');
      expect((await stat(join(root, 'opaque-first'))).mode & 0o7777).toBe(0o750);
      const last = await stat(join(root, 'opaque-last'));
      expect([last.mode & 0o7777, last.mtimeMs]).toEqual([0o711, 123456789500]);
      // A folder the upper layer only passes through keeps the attributes it has below.
      const deeper = await stat(join(root, 'deep/er'));
      expect([deeper.mode & 0o7777, deeper.gid, deeper.mtimeMs]).toEqual([0o711, 9, 1000_000]);
      const unnamed = await stat(join(root, 'unnamed-opaque'));
      expect([unnamed.mode & 0o7777, unnamed.uid]).toEqual([0o701, 3]);
    });
  });

  test('links, modes, owners, times, devices, attributes and long names arrive', async () => {
    await using folder = await tempFolder();
    await using temp = await TempStore.open();
    const rootfs = join(folder.path, 'rootfs');
    await mkdir(rootfs);
    const long = `${'d'.repeat(120)}/${'f'.repeat(200)}`;
    await mkdir(join(rootfs, 'd'.repeat(120)));
    await writeFile(join(rootfs, long), 'long');
    await writeFile(join(rootfs, 'näme ☃ \\n'), 'odd');
    await writeFile(Buffer.concat([Buffer.from(`${rootfs}/`), Buffer.from([0x62, 0xff, 0xfe])]), 'not utf-8');
    await writeFile(join(rootfs, 'suid'), 'x');
    await chown(join(rootfs, 'suid'), 70_000, 3_000_000_000);
    await chmod(join(rootfs, 'suid'), 0o6755);
    await hostProgram(['setcap', 'cap_net_raw+ep', join(rootfs, 'suid')]);
    await hostProgram(['setfattr', '-n', 'user.note', '-v', 'ä=b', join(rootfs, 'suid')]);
    await link(join(rootfs, 'suid'), join(rootfs, 'suid-too'));
    await symlink('/etc/passwd', join(rootfs, 'absolute'));
    await symlink('../../../outside', join(rootfs, 'climbing'));
    await symlink('t'.repeat(150), join(rootfs, 'long-target'));
    await hostProgram(['mknod', join(rootfs, 'null'), 'c', '1', '3']);
    await hostProgram(['mkfifo', join(rootfs, 'pipe')]);
    await writeFile(join(rootfs, 'holes'), '');
    await truncate(join(rootfs, 'holes'), 3_000_000);
    const tar = join(folder.path, 'made.tar');
    await utimes(join(rootfs, 'pipe'), 1234567.5, 1234567.5);
    const flags = ['--format=posix', '--xattrs', '--xattrs-include=*', '--numeric-owner'];
    await hostProgram(['tar', '-cf', tar, ...flags, '-C', rootfs, '.']);
    const image = await importLayers(temp, folder.path, [{ tar }]);
    const root = String(image.lowerDirs[0]);
    expect(await readFile(join(root, long), 'utf8')).toBe('long');
    const expected = (await readdir(rootfs, { encoding: 'buffer' })).map((name) => name.toString('latin1')).sort();
    expect((await readdir(root, { encoding: 'buffer' })).map((name) => name.toString('latin1')).sort()).toEqual(
      expected,
    );
    const suid = await stat(join(root, 'suid'));
    expect([suid.mode & 0o7777, suid.uid, suid.gid, suid.nlink]).toEqual([0o6755, 70_000, 3_000_000_000, 2]);
    const attributes = await hostProgram([
      'getfattr',
      '-d',
      '-m',
      '-',
      '-e',
      'hex',
      '--absolute-names',
      join(root, 'suid'),
    ]);
    const wanted = await hostProgram([
      'getfattr',
      '-d',
      '-m',
      '-',
      '-e',
      'hex',
      '--absolute-names',
      join(rootfs, 'suid'),
    ]);
    expect(attributes.replaceAll(root, '')).toBe(wanted.replaceAll(rootfs, ''));
    expect(attributes).toContain('security.capability');
    expect(await readlink(join(root, 'absolute'))).toBe('/etc/passwd');
    expect(await readlink(join(root, 'climbing'))).toBe('../../../outside');
    expect(await readlink(join(root, 'long-target'))).toBe('t'.repeat(150));
    expect((await lstat(join(root, 'null'))).rdev).toBe((1 << 8) | 3);
    const pipe = await lstat(join(root, 'pipe'));
    expect([pipe.isFIFO(), pipe.mtimeMs]).toEqual([true, 1234567500]);
    expect((await stat(join(root, 'holes'))).size).toBe(3_000_000);
  });

  test('names through a symbolic link end where a process in the image would end', async () => {
    await using folder = await tempFolder();
    await using temp = await TempStore.open();
    const image = await importLayers(temp, folder.path, [
      tarOf({ path: 'usr/' }, { path: 'usr/lib/' }, { path: 'lib', kind: 'symlink', linkPath: '/usr/lib' }),
      tarOf({ path: 'lib/through-lower', content: 'a' }),
      tarOf(
        { path: 'up', kind: 'symlink', linkPath: '../../usr' },
        { path: 'up/through-own', content: 'b' },
        { path: '/absolute', content: 'c' },
      ),
    ]);
    await merged(folder.path, image, async (root) => {
      expect((await lstat(join(root, 'lib'))).isSymbolicLink()).toBe(true);
      expect(await readFile(join(root, 'usr/lib/through-lower'), 'utf8')).toBe('a');
      expect(await readFile(join(root, 'usr/through-own'), 'utf8')).toBe('b');
      expect(await readFile(join(root, 'absolute'), 'utf8')).toBe('c');
    });
  });

  describe('a hostile layer', () => {
    const outside = (folder: string): string => join(folder, 'outside');
    const cases: ReadonlyArray<readonly [string, (folder: string) => Buffer, 'refused' | 'contained']> = [
      ['a name that climbs', () => tarOf({ path: '../../../outside/evil', content: 'x' }), 'refused'],
      ['a name that climbs later', () => tarOf({ path: 'a/../../outside/evil', content: 'x' }), 'refused'],
      ['an absolute name', (f) => tarOf({ path: `${outside(f)}/evil`, content: 'x' }), 'contained'],
      [
        'an absolute link written through',
        (f) => tarOf({ path: 'l', kind: 'symlink', linkPath: outside(f) }, { path: 'l/evil', content: 'x' }),
        'contained',
      ],
      [
        'a climbing link written through',
        () => tarOf({ path: 'l', kind: 'symlink', linkPath: '../../../../outside' }, { path: 'l/evil', content: 'x' }),
        'contained',
      ],
      [
        'a link to a link',
        (f) =>
          tarOf(
            { path: 'a', kind: 'symlink', linkPath: 'b' },
            { path: 'b', kind: 'symlink', linkPath: outside(f) },
            { path: 'a/evil', content: 'x' },
          ),
        'contained',
      ],
      [
        'a hard link to a link written through',
        (f) =>
          tarOf(
            { path: 'a', kind: 'symlink', linkPath: outside(f) },
            { path: 'b', kind: 'hardlink', linkPath: 'a' },
            { path: 'b/evil', content: 'x' },
          ),
        'contained',
      ],
      [
        'a loop of links',
        () =>
          tarOf(
            { path: 'a', kind: 'symlink', linkPath: 'b' },
            { path: 'b', kind: 'symlink', linkPath: 'a' },
            { path: 'a/evil', content: 'x' },
          ),
        'refused',
      ],
      [
        'a folder replaced by a link',
        (f) =>
          tarOf({ path: 'd/' }, { path: 'd', kind: 'symlink', linkPath: outside(f) }, { path: 'd/evil', content: 'x' }),
        'contained',
      ],
      [
        'a whiteout below a folder that becomes a link',
        (f) =>
          tarOf(
            { path: 'd/' },
            { path: 'd/.wh.evil', content: '' },
            { path: 'd', kind: 'symlink', linkPath: outside(f) },
          ),
        'refused',
      ],
      [
        'an opaque folder that becomes a link',
        (f) =>
          tarOf(
            { path: 'd/' },
            { path: 'd/.wh..wh..opq', content: '' },
            { path: 'd', kind: 'symlink', linkPath: outside(f) },
          ),
        'contained',
      ],
      [
        'a hard link to a file outside',
        (f) => tarOf({ path: 'evil', kind: 'hardlink', linkPath: `${outside(f)}/victim` }),
        'refused',
      ],
      [
        'a hard link that climbs',
        () => tarOf({ path: 'evil', kind: 'hardlink', linkPath: '../../outside/victim' }),
        'refused',
      ],
      [
        'a hard link through a link',
        (f) =>
          tarOf(
            { path: 'l', kind: 'symlink', linkPath: outside(f) },
            { path: 'h', kind: 'hardlink', linkPath: 'l/victim' },
          ),
        'refused',
      ],
      ['a whiteout of the parent', () => tarOf({ path: 'a/' }, { path: 'a/.wh...', content: '' }), 'refused'],
      ['a whiteout of itself', () => tarOf({ path: '.wh..', content: '' }), 'refused'],
      ['a whiteout of nothing', () => tarOf({ path: '.wh.', content: '' }), 'refused'],
      [
        'a name with a zero byte',
        () => tarOf({ path: `${'a'.repeat(101)}\0/../../../outside/evil`, content: 'x' }),
        'contained',
      ],
      [
        'a root that is a link',
        (f) => tarOf({ path: './', kind: 'symlink', linkPath: outside(f) }, { path: 'evil', content: 'x' }),
        'refused',
      ],
      ['an entry of an unknown kind', () => withFlag(tarOf({ path: 'x', content: 'x' }), 'M'), 'refused'],
      ['a damaged header', () => withByte(tarOf({ path: 'x', content: 'x' }), 10, 0x41), 'refused'],
      ['a file cut short', () => tarOf({ path: 'x', content: 'x'.repeat(5000) }).subarray(0, 3000), 'refused'],
      ['a header cut short', () => tarOf({ path: 'x', content: 'x' }).subarray(0, 300), 'refused'],
      [
        'compressed bytes cut short',
        () => gzipSync(tarOf({ path: 'x', content: 'x'.repeat(5000) })).subarray(0, 60),
        'refused',
      ],
    ];
    for (const [what, layer, end] of cases) {
      test(`${what}: ${end}`, async () => {
        await using folder = await tempFolder();
        await using temp = await TempStore.open({ dir: join(folder.path, 'store') });
        await mkdir(outside(folder.path));
        await writeFile(join(outside(folder.path), 'victim'), 'mine', { mode: 0o600 });
        await chmod(outside(folder.path), 0o751);
        const before = await temp.content();
        const work = importLayers(temp, folder.path, [layer(folder.path)]);
        if (end === 'contained') await work;
        else {
          await expect(work).rejects.toBeInstanceOf(ImageError);
          expect(await temp.content()).toEqual(before);
        }
        expect(await readdir(outside(folder.path))).toEqual(['victim']);
        const victim = await stat(join(outside(folder.path), 'victim'));
        expect([victim.nlink, victim.mode & 0o777]).toEqual([1, 0o600]);
        const folderNow = await stat(outside(folder.path));
        expect(folderNow.mode & 0o777).toBe(0o751);
        const names = await hostProgram(['find', folder.path, '-name', 'evil', '-not', '-path', '*/store/l/*']);
        expect(names).toBe('');
        expect(await hostProgram(['getfattr', '-d', '-m', '-', '--absolute-names', outside(folder.path)])).toBe('');
      });
    }

    test('attributes that steer overlayfs are dropped', async () => {
      await using folder = await tempFolder();
      await using temp = await TempStore.open();
      const xattrs = new Map([
        ['trusted.overlay.redirect', '/secret'],
        ['trusted.overlay.opaque', 'y'],
        ['user.fine', 'yes'],
      ]);
      const image = await importLayers(temp, folder.path, [
        tarOf({ path: 'd/' }, { path: 'd/below', content: 'x' }),
        tarOf({ path: 'd/', xattrs }),
      ]);
      const said = await hostProgram([
        'getfattr',
        '-d',
        '-m',
        '-',
        '--absolute-names',
        join(String(image.lowerDirs[0]), 'd'),
      ]);
      expect(said).toContain('user.fine="yes"');
      expect(said).not.toContain('overlay');
      await merged(folder.path, image, async (root) => expect(await tree(root)).toEqual(['d', 'd/below']));
    });

    test('a layer that is not what the image says leaves nothing', async () => {
      await using folder = await tempFolder();
      await using temp = await TempStore.open();
      const path = join(folder.path, 'layout');
      const tar = join(folder.path, 'layer.tar');
      await writeFile(tar, tarOf({ path: 'x', content: 'honest' }));
      await makeImageArchive(
        { path, layers: [{ tar }], format: 'oci-layout', reference: 'x:1' },
        { run: runProgram },
        never,
      );
      // A config with the digest of another layer, and a manifest to go with it.
      await lieAboutDiffId(path);
      const before = await temp.content();
      await expect(temp.store.importArchive(path, {}, never)).rejects.toMatchObject({
        failure: { reason: 'layer-invalid' },
      });
      expect(await temp.content()).toEqual(before);
    });
  });

  test('zstd layers', async () => {
    await using folder = await tempFolder();
    const tar = tarOf({ path: 'hello', content: 'hi' });
    await writeFile(join(folder.path, 'layer'), tar);
    await hostProgram(['zstd', '-q', join(folder.path, 'layer')]);
    const target = join(folder.path, 'target');
    const request = { blob: join(folder.path, 'layer.zst'), diffId: sha256(tar), target, lowerDirs: [] };
    await mkdir(target);
    const size = await unpackLayer({ ...request, programs: { tar: 'tar', zstd: 'zstd' } }, never);
    expect(size).toEqual({ contentBytes: 2, diskBytes: 8192, inodes: 2 });
    expect(await readFile(join(target, 'hello'), 'utf8')).toBe('hi');
    await expect(
      unpackLayer({ ...request, programs: { tar: 'tar', zstd: '/nonexistent' } }, never),
    ).rejects.toMatchObject({
      failure: { reason: 'program-missing' },
    });
    await truncate(request.blob, 12);
    await expect(unpackLayer({ ...request, programs: { tar: 'tar', zstd: 'zstd' } }, never)).rejects.toMatchObject({
      failure: { reason: 'layer-invalid' },
    });
  });
  test('layers are unpacked once and shared', async () => {
    await using folder = await tempFolder();
    await using temp = await TempStore.open();
    const base = tarOf({ path: 'base', content: 'x' });
    const first = await importLayers(temp, folder.path, [base, tarOf({ path: 'one', content: '1' })]);
    const second = await importLayers(temp, folder.path, [base, tarOf({ path: 'two', content: '2' })]);
    expect(first.lowerDirs[1]).toBe(second.lowerDirs[1]);
    expect((await temp.content()).layers).toHaveLength(3);
    // The name moved on; the first image stays without one.
    expect(temp.store.find('layers:1')?.id).toBe(second.id);
    expect(temp.store.find(first.id)?.repoTags).toEqual([]);
    const usage = temp.store.usage();
    expect(usage.images.map((image) => image.layers.length)).toEqual([2, 2]);
    expect(usage.images[0]?.uniqueBytes).toBeLessThan(usage.totalBytes);
    await temp.store.removeImage({ image: { image: first.id } }, never);
    await temp.store.removeImage({ image: { image: first.id } }, never);
    expect(temp.store.find(first.id)).toBeUndefined();
    expect((await temp.content()).layers).toHaveLength(2);
    expect(await tree(String(second.lowerDirs[1]))).toEqual(['base']);
    await temp.store.removeImage({ image: { image: 'layers:1' } }, never);
    expect(await temp.content()).toEqual({ layers: [], records: [], blobs: [], work: [] });
    expect(temp.store.usage()).toMatchObject({ totalBytes: 0, inodes: 0 });
  });
});

function withFlag(tar: Buffer, flag: string): Buffer {
  const header = Buffer.from(tar.subarray(0, 512));
  header.write(flag, 156, 'latin1');
  header.write('        ', 148, 'latin1');
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return Buffer.concat([header, tar.subarray(512)]);
}

function withByte(tar: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(tar);
  copy[at] = value;
  return copy;
}

async function lieAboutDiffId(layout: string): Promise<void> {
  const read = async (digest: string): Promise<string> =>
    readFile(join(layout, 'blobs/sha256', digest.slice(7)), 'utf8');
  const write = async (content: string): Promise<{ digest: string; size: number }> => {
    const digest = sha256(content);
    await writeFile(join(layout, 'blobs/sha256', digest.slice(7)), content);
    return { digest, size: content.length };
  };
  type Index = { manifests: Array<{ digest: string; size: number }> };
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as Index;
  const manifest = JSON.parse(await read(String(index.manifests[0]?.digest))) as { config: { digest: string } };
  const config = (await read(manifest.config.digest)).replace(/"diff_ids":\["sha256:..../, '"diff_ids":["sha256:0000');
  Object.assign(manifest.config, await write(config));
  Object.assign(index.manifests[0] as object, await write(JSON.stringify(manifest)));
  await writeFile(join(layout, 'index.json'), JSON.stringify(index));
}
