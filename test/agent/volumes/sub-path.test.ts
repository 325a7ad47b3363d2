import { spawn } from 'node:child_process';
import { lstat, mkdir, readdir, readFile, rename, stat, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorText } from '../../../base/errors.js';
import type { VolumeMount } from '../../../agent/api/index.js';
import { failureOf, firstContainer, podOf, VolumeWorld } from './volume-world.js';

const withMounts = (volumeMounts: VolumeMount[]) =>
  podOf({ volumes: [{ name: 'data', emptyDir: {} }], container: { volumeMounts } });

test('a subPath is bound to a place of its own, made when absent like the volume, and cleaned up', async () => {
  await using world = await VolumeWorld.open();
  const pod = podOf({
    volumes: [{ name: 'data', emptyDir: {} }],
    container: {
      volumeMounts: [
        { name: 'data', mountPath: '/whole' },
        { name: 'data', mountPath: '/part', subPath: 'a/b' },
        { name: 'data', mountPath: '/mine', subPathExpr: '$(POD)/logs', readOnly: true },
      ],
    },
    pod: { securityContext: { fsGroup: 3000 } },
  });
  await world.mount(pod);
  const { mounts } = await world.manager.forContainer(
    pod,
    firstContainer(pod),
    new Map([['POD', 'web']]),
    world.signal,
  );
  const [whole, part, mine] = mounts.map((mount) => mount.hostPath ?? '');
  expect(part).toBe(world.folder(pod, 'volume-subpaths/data/main/1'));
  expect(mine).toBe(world.folder(pod, 'volume-subpaths/data/main/2'));
  expect(mounts[2]).toMatchObject({ readonly: true, propagation: 'PROPAGATION_PRIVATE', containerPath: '/mine' });
  const made = await stat(join(whole ?? '', 'a/b'));
  expect(made.mode & 0o7777).toBe(0o2777);
  expect(made.gid).toBe(3000);
  await writeFile(join(part ?? '', 'f'), 'x');
  expect(await readdir(join(whole ?? '', 'a/b'))).toEqual(['f']);
  expect(await readdir(join(whole ?? '', 'web'))).toEqual(['logs']);

  // The same container starts again: nothing is mounted twice, after a restart of the agent either.
  const count = (await world.mounts()).length;
  await world.hostPath(pod, 0, { POD: 'web' });
  await world.restart();
  await world.mount(pod);
  await world.hostPath(pod, 0, { POD: 'web' });
  expect((await world.mounts()).length).toBe(count);
  await world.unmount(pod);
  expect(await world.mounts()).toEqual([]);
  expect(await readdir(world.folder(pod))).toEqual([]);
});

test('a single file, a key of a ConfigMap, and its new content for the next start', async () => {
  await using world = await VolumeWorld.open();
  world.objects.configMap('settings', { 'app.conf': 'one', 'other.conf': 'x' });
  const pod = podOf({
    volumes: [{ name: 'config', configMap: { name: 'settings' } }],
    container: { volumeMounts: [{ name: 'config', mountPath: '/etc/app.conf', subPath: 'app.conf' }] },
  });
  await world.mount(pod);
  const path = await world.hostPath(pod);
  expect((await lstat(path)).isFile()).toBe(true);
  expect(await readFile(path, 'utf8')).toBe('one');
  world.objects.configMap('settings', { 'app.conf': 'two' });
  await world.mount(pod);
  expect(await readFile(path, 'utf8')).toBe('one');
  expect(await readFile(await world.hostPath(pod), 'utf8')).toBe('two');
});

test('a link that a container planted is followed inside the volume and refused outside', async () => {
  await using world = await VolumeWorld.open();
  await mkdir(join(world.root, 'outside'));
  const paths = ['good', 'escape', 'up', 'deep/escape/x', 'loop', 'file/x'];
  const pods = paths.map((subPath) => withMounts([{ name: 'data', mountPath: '/d', subPath }]));
  const results: string[] = [];
  for (const pod of pods) {
    await world.mount(pod);
    const volume = world.folder(pod, 'volumes/kubernetes.io~empty-dir/data');
    await mkdir(join(volume, 'real'));
    await writeFile(join(volume, 'real/inside'), '');
    await mkdir(join(volume, 'deep'));
    await writeFile(join(volume, 'file'), '');
    await symlink('./deep/../real', join(volume, 'good'));
    await symlink(join(world.root, 'outside'), join(volume, 'escape'));
    await symlink('../../../../../../outside', join(volume, 'up'));
    await symlink('../escape', join(volume, 'deep/escape'));
    await symlink('loop', join(volume, 'loop'));
    try {
      results.push((await readdir(await world.hostPath(pod))).join(','));
    } catch (err) {
      results.push((err as Error).cause instanceof Error ? ((err as Error).cause as Error).message : String(err));
    }
  }
  expect(results).toEqual([
    'inside',
    'the path leads out of the volume',
    'the path leads out of the volume',
    'the path leads out of the volume',
    'too many levels of symbolic links',
    'a part of the path is not a folder',
  ]);
  expect(await readdir(join(world.root, 'outside'))).toEqual([]);
});

test('a hostPath keeps who mounts a part of it inside, whatever links lie there', async () => {
  await using world = await VolumeWorld.open();
  const host = join(world.root, 'host');
  const outside = join(world.root, 'outside');
  for (const folder of [join(host, 'real'), outside]) await mkdir(folder, { recursive: true });
  await writeFile(join(outside, 'user-file'), 'precious');
  await writeFile(join(host, 'real/inside'), '');
  await symlink('real', join(host, 'good'));
  await symlink(outside, join(host, 'escape'));
  await symlink('../outside/user-file', join(host, 'file'));
  const open = async (subPath: string): Promise<string> => {
    const pod = podOf({
      volumes: [{ name: 'data', hostPath: { path: host } }],
      container: { volumeMounts: [{ name: 'data', mountPath: '/d', subPath }] },
    });
    await world.mount(pod);
    try {
      return (await readdir(await world.hostPath(pod))).join(',');
    } finally {
      await world.unmount(pod);
    }
  };
  expect(await open('good')).toBe('inside');
  for (const subPath of ['escape', 'escape/new', 'file'])
    expect(errorText(await failureOf(open(subPath)))).toContain('the path leads out of the volume');
  expect(await readdir(outside)).toEqual(['user-file']);
  expect(await readFile(join(outside, 'user-file'), 'utf8')).toBe('precious');
  expect((await readdir(host)).sort()).toEqual(['escape', 'file', 'good', 'real']);
  expect(await world.mounts()).toEqual([]);
});

test('paths and variables that are not allowed fail before anything is touched', async () => {
  await using world = await VolumeWorld.open();
  const cases: [VolumeMount, string][] = [
    [{ name: 'data', mountPath: '/d', subPath: '/etc' }, 'must not be an absolute path'],
    [{ name: 'data', mountPath: '/d', subPath: 'a/../../b' }, "must not contain '..'"],
    [{ name: 'data', mountPath: '/d', subPathExpr: '$(A)/$(B)$(EMPTY)' }, 'missing value for B, EMPTY'],
    [{ name: 'data', mountPath: '/d', subPathExpr: '$(UP)' }, "must not contain '..'"],
    [{ name: 'nowhere', mountPath: '/d' }, 'cannot find volume "nowhere" to mount into container "main"'],
    [{ name: 'data', mountPath: '/d', recursiveReadOnly: 'Enabled' }, 'it is not read-only'],
    [{ name: 'data', mountPath: '/d', readOnly: true, recursiveReadOnly: 'Enabled' }, 'supported by the runtime'],
  ];
  for (const [mount, words] of cases) {
    const pod = withMounts([mount]);
    await world.mount(pod);
    expect((await failureOf(world.hostPath(pod, 0, { A: 'a', EMPTY: '', UP: '../x' }))).message).toContain(words);
  }
});

test('a container that swaps a folder for a link all the time never leads the bind out of the volume', async () => {
  await using world = await VolumeWorld.open();
  const outside = join(world.root, 'outside');
  await mkdir(join(outside, 'sub'), { recursive: true });
  await writeFile(join(outside, 'sub/secret-of-the-host'), '');
  const pod = withMounts([{ name: 'data', mountPath: '/d', subPath: 'x/sub' }]);
  await world.mount(pod);
  const volume = world.folder(pod, 'volumes/kubernetes.io~empty-dir/data');
  await mkdir(join(volume, 'x/sub'), { recursive: true });
  await writeFile(join(volume, 'x/sub/inside'), '');
  const look = async (): Promise<'bound' | 'refused'> => {
    let path: string;
    try {
      path = await world.hostPath(pod);
    } catch {
      expect(await readdir(join(outside, 'sub'))).toEqual(['secret-of-the-host']);
      return 'refused';
    }
    expect(await readdir(path)).not.toContain('secret-of-the-host');
    return 'bound';
  };
  expect(await look()).toBe('bound');
  await rename(join(volume, 'x'), join(volume, 'aside'));
  await symlink(outside, join(volume, 'x'));
  expect(await look()).toBe('refused');
  await unlink(join(volume, 'x'));
  await rename(join(volume, 'aside'), join(volume, 'x'));

  // A byte for every twenty swaps.
  const swapper = spawn(
    process.execPath,
    [
      '-e',
      `const fs = require('node:fs'); process.chdir(${JSON.stringify(volume)});
       const attempt = (work) => { try { work(); } catch {} };
       for (let swaps = 1; ; swaps++) {
         attempt(() => fs.rmSync('x', { recursive: true }));
         attempt(() => fs.symlinkSync(${JSON.stringify(outside)}, 'x'));
         attempt(() => fs.unlinkSync('x'));
         attempt(() => fs.mkdirSync('x/sub', { recursive: true }));
         attempt(() => fs.writeFileSync('x/sub/inside', ''));
         if (swaps % 20 === 0) fs.writeSync(1, '.');
       }`,
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const seen = { swaps: 0, looks: 0 };
  swapper.stdout.on('data', (chunk: Buffer) => (seen.swaps += 20 * chunk.length));
  try {
    const deadline = performance.now() + 60_000;
    // What comes of each look is up to the moment; what must never be is looked for in each.
    while ((seen.looks < 100 || seen.swaps < 100) && performance.now() < deadline) {
      await look();
      seen.looks++;
    }
    expect(seen.looks).toBeGreaterThanOrEqual(100);
    expect(seen.swaps).toBeGreaterThanOrEqual(100);
    expect(await readdir(outside)).toEqual(['sub']);
  } finally {
    swapper.kill('SIGKILL');
  }
});
