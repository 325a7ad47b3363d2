import { mkdir, readdir, readFile, stat, writeFile, chmod } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runProgram } from '../../../../base/run-program.js';
import { ImageError, makeImageArchive } from '../../../../cri/embedded/images/index.js';
import { sha256 } from '../../../../cri/embedded/images/oci-documents.js';
import { hostProgram } from '../../../support/host-program.js';
import { importLayers, merged, tarOf, tree, withByte, withFlag } from './made-layers.js';
import { missingProgram, never, tempFolder, TempStore } from './temp-store.js';

const missing = await missingProgram('skopeo', 'tar', 'getfattr');

describe.skipIf(missing !== undefined)(`layers (missing: ${missing ?? 'nothing'})`, () => {
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
});

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
