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
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sha256 } from '../../../../cri/embedded/images/oci-documents.js';
import { unpackLayer } from '../../../../cri/embedded/images/layers/unpack-layer.js';
import { hostProgram } from '../../../support/host-program.js';
import { importLayers, merged, tarOf, tree } from './made-layers.js';
import { missingProgram, never, tempFolder, TempStore } from './temp-store.js';

const missing = await missingProgram('skopeo', 'tar', 'setfattr', 'getfattr', 'setcap');

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
