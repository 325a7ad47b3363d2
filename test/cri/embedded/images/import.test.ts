import { readFile, stat, truncate, writeFile, readdir, mkdir, copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runProgram } from '../../../../base/run-program.js';
import { ImageError, makeImageArchive } from '../../../../cri/embedded/images/index.js';
import { makeBusyboxImage } from '../../../setup/busybox-image.js';
import { hostProgram } from '../../../support/host-program.js';
import { missingProgram, never, tempFolder, TempStore } from './temp-store.js';

const missing = await missingProgram('skopeo', 'tar', '/bin/busybox');
const name = 'docker.io/library/busybox:latest';

describe.skipIf(missing !== undefined)(`import and export of archives (missing: ${missing ?? 'nothing'})`, () => {
  for (const format of ['oci-archive', 'docker-archive', 'oci-layout'] as const) {
    test(`${format}: import, find, container parts`, async () => {
      await using folder = await tempFolder();
      await using temp = await TempStore.open();
      const path = join(folder.path, 'with:colon');
      const id = await makeBusyboxImage({
        path,
        format,
        config: { user: '1000:1000', entrypoint: ['/bin/sh'], cmd: ['-c'] },
      });
      const [image] = await temp.store.importArchive(path, {}, never);
      if (format !== 'docker-archive') expect(image?.id).toBe(id);
      for (const text of ['busybox', 'busybox:latest', 'library/busybox', name, image?.id, image?.id.slice(7, 19)]) {
        expect([text, temp.store.find(String(text))?.id]).toEqual([text, image?.id]);
      }
      expect(image?.repoTags).toEqual([name]);
      expect(image?.config).toMatchObject({ user: '1000:1000', entrypoint: ['/bin/sh'], cmd: ['-c'] });
      expect(image?.lowerDirs).toHaveLength(1);
      const root = String(image?.lowerDirs[0]);
      expect(await hostProgram([join(root, 'bin/busybox'), 'echo', 'hello'])).toBe('hello\n');
      expect((await stat(join(root, 'tmp'))).mode & 0o7777).toBe(0o1777);
      expect(await readFile(join(root, 'etc/passwd'), 'utf8')).toContain('root:x:0:0');
      const listed = await temp.store.listImages({}, never);
      expect(listed.images).toMatchObject([{ id: image?.id, uid: { value: 1000 }, username: '', pinned: false }]);
      expect((await temp.store.listImages({ filter: { image: { image: 'other' } } }, never)).images).toEqual([]);
      const status = await temp.store.imageStatus({ image: { image: 'busybox' }, verbose: true }, never);
      expect(status.image?.repoTags).toEqual([name]);
      expect(JSON.parse(String(status.info?.['info']))).toMatchObject({ imageSpec: { config: { User: '1000:1000' } } });
      expect((await temp.store.imageStatus({ image: { image: 'nope' } }, never)).image).toBeUndefined();
    });
  }

  test('the same files make the same image', async () => {
    await using folder = await tempFolder();
    const first = await makeBusyboxImage({ path: join(folder.path, 'a.tar') });
    const second = await makeBusyboxImage({ path: join(folder.path, 'b.tar') });
    expect(second).toBe(first);
    const [a, b] = await Promise.all(['a.tar', 'b.tar'].map(async (file) => readFile(join(folder.path, file))));
    expect(a?.equals(b as Buffer)).toBe(true);
  });

  for (const format of ['oci-archive', 'docker-archive'] as const) {
    test(`${format}: export and import again`, async () => {
      await using folder = await tempFolder();
      await using temp = await TempStore.open();
      const path = join(folder.path, 'in.tar');
      await makeBusyboxImage({ path, files: { '/etc/motd': 'welcome\n' } });
      const [image] = await temp.store.importArchive(
        path,
        { reference: 'example.com/team/box:v1', pinned: true },
        never,
      );
      expect(image).toMatchObject({ repoTags: ['example.com/team/box:v1'], pinned: true });
      const out = join(folder.path, 'out.tar');
      await temp.store.exportArchive('example.com/team/box:v1', out, format, never);
      await expect(temp.store.exportArchive('example.com/team/box:v1', out, format, never)).rejects.toThrow(
        'exists already',
      );
      await using other = await TempStore.open();
      const [again] = await other.store.importArchive(out, {}, never);
      expect(again?.repoTags).toEqual(['example.com/team/box:v1']);
      expect(again?.config).toEqual(image?.config);
      if (format === 'oci-archive') expect(again?.id).toBe(image?.id);
      expect(await readFile(join(String(again?.lowerDirs[0]), 'etc/motd'), 'utf8')).toBe('welcome\n');
      expect(await readdir(folder.path)).toEqual(['in.tar', 'out.tar']);
    });
  }

  test('compressed layers and a compressed archive', async () => {
    await using folder = await tempFolder();
    await using temp = await TempStore.open();
    const rootfs = join(folder.path, 'rootfs');
    await mkdir(rootfs);
    await writeFile(join(rootfs, 'hello'), 'hi');
    const path = join(folder.path, 'a.tar');
    await makeImageArchive(
      { path, reference: 'x:1', layers: [{ rootfs }], compress: 'gzip' },
      { run: runProgram },
      never,
    );
    await hostProgram(['gzip', path]);
    const [image] = await temp.store.importArchive(`${path}.gz`, {}, never);
    expect(await readFile(join(String(image?.lowerDirs[0]), 'hello'), 'utf8')).toBe('hi');
  });

  test('garbage, a cut archive and an empty folder are refused and change nothing', async () => {
    await using folder = await tempFolder();
    await using temp = await TempStore.open();
    const good = join(folder.path, 'good.tar');
    await makeBusyboxImage({ path: good });
    const { size } = await stat(good);
    const dockerGood = join(folder.path, 'docker.tar');
    await makeBusyboxImage({ path: dockerGood, format: 'docker-archive' });
    await writeFile(join(folder.path, 'garbage'), 'this is no archive'.repeat(1000));
    await writeFile(join(folder.path, 'empty'), '');
    await mkdir(join(folder.path, 'folder'));
    for (const [at, part] of [0.1, 0.5, 0.9, 0.98].entries()) {
      await copyFile(good, join(folder.path, `cut-oci-${at}`));
      await truncate(join(folder.path, `cut-oci-${at}`), Math.floor(size * part));
      await copyFile(dockerGood, join(folder.path, `cut-docker-${at}`));
      await truncate(join(folder.path, `cut-docker-${at}`), Math.floor((await stat(dockerGood)).size * part));
    }
    await rm(good);
    await rm(dockerGood);
    const before = await temp.content();
    for (const file of [...(await readdir(folder.path)), 'is-not-there']) {
      const failure = temp.store.importArchive(join(folder.path, file), {}, never);
      await expect(failure).rejects.toBeInstanceOf(ImageError);
      await expect(failure).rejects.toMatchObject({
        failure: { reason: 'archive-invalid', code: 'invalid-argument' },
      });
      expect([file, await temp.content()]).toEqual([file, before]);
    }
    expect(temp.store.usage().images).toEqual([]);
  });

  test('an archive with several images gives all of them; one name is then refused', async () => {
    await using folder = await tempFolder();
    await using temp = await TempStore.open();
    const tree = join(folder.path, 'tree');
    await mkdir(tree);
    for (const which of ['one', 'two']) {
      const path = join(folder.path, `${which}.tar`);
      await makeBusyboxImage({ path, reference: `${which}:1`, files: { '/which': which }, format: 'docker-archive' });
      await hostProgram(['tar', '-xf', path, '-C', tree]);
      await copyFile(join(tree, 'manifest.json'), join(folder.path, `${which}.json`));
    }
    const manifests = ['one', 'two'].map(
      async (which) => JSON.parse(await readFile(join(folder.path, `${which}.json`), 'utf8')) as unknown[],
    );
    await writeFile(join(tree, 'manifest.json'), JSON.stringify((await Promise.all(manifests)).flat()));
    const both = join(folder.path, 'both.tar');
    await hostProgram(['tar', '-C', tree, '-cf', both, '.', '--transform=s,^\\./,,']);
    await expect(temp.store.importArchive(both, { reference: 'x:1' }, never)).rejects.toThrow('holds 2 images');
    const images = await temp.store.importArchive(both, {}, never);
    expect(images.map((image) => image.repoTags)).toEqual([['docker.io/library/one:1'], ['docker.io/library/two:1']]);
  });
});
