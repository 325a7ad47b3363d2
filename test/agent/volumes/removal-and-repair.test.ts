import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { removeTree } from '../../../agent/volumes/fs/remove-tree.js';
import { hostProgram } from '../../support/host-program.js';
import { failureOf, podOf, uidOf, VolumeWorld } from './volume-world.js';

const signal = new AbortController().signal;

test('what a container mounted in its volume is unmounted, never removed through', async () => {
  await using world = await VolumeWorld.open();
  const host = join(world.root, 'host');
  await mkdir(host);
  await writeFile(join(host, 'user-file'), 'precious');
  const pod = podOf({ volumes: [{ name: 'data', emptyDir: {} }] });
  await world.mount(pod);
  const path = await world.hostPath(pod);
  await mkdir(join(path, 'a/b'), { recursive: true });
  await writeFile(join(path, 'file'), '');
  await hostProgram(['mount', '--bind', host, join(path, 'a/b')]);
  await hostProgram(['mount', '--bind', join(host, 'user-file'), join(path, 'file')]);
  await world.unmount(pod);
  expect(await readFile(join(host, 'user-file'), 'utf8')).toBe('precious');
  expect(await world.mounts()).toEqual([]);
});

test('the remover itself stops at a bind mount of the same file system and follows no link', async () => {
  const root = await mkdtemp(join(tmpdir(), 'berth-remove-'));
  const host = join(root, 'host');
  const doomed = join(root, 'doomed');
  await mkdir(join(doomed, 'a/mounted'), { recursive: true });
  await mkdir(host);
  await writeFile(join(host, 'kept'), '');
  await symlink(host, join(doomed, 'link'));
  await hostProgram(['mount', '--bind', host, join(doomed, 'a/mounted')]);
  try {
    expect(await failureOf(removeTree(doomed, signal))).toMatchObject({ failure: { code: 'busy' } });
    expect(await failureOf(removeTree(join(doomed, 'a/mounted'), signal))).toMatchObject({ failure: { code: 'busy' } });
    expect(await readdir(host)).toEqual(['kept']);
  } finally {
    await hostProgram(['umount', join(doomed, 'a/mounted')]);
  }
  await removeTree(doomed, signal);
  await removeTree(doomed, signal);
  expect(await readdir(host)).toEqual(['kept']);
  expect(await readdir(root)).toEqual(['host']);
  // A link in place of the tree is removed itself.
  await symlink(host, doomed);
  await removeTree(doomed, signal);
  expect(await readdir(root)).toEqual(['host']);
  await rm(root, { recursive: true });
});

test('trees deeper than descriptors and paths allow are removed', async () => {
  const root = await mkdtemp(join(tmpdir(), 'berth-deep-'));
  // 1500 levels of 12 characters: more than a process may open, and longer than any path.
  await hostProgram(
    [
      'busybox',
      'sh',
      '-c',
      `cd '${root}' && mkdir tree && cd tree && i=0 && while [ $i -lt 1500 ]; do mkdir level-$i-xxx; cd level-$i-xxx; : >f; i=$((i+1)); done`,
    ],
    60_000,
  );
  await removeTree(join(root, 'tree'), signal);
  expect(await readdir(root)).toEqual([]);
  await rm(root, { recursive: true });
});

test('a busy volume is said to be busy, stays whole, and goes when it is free', async () => {
  await using world = await VolumeWorld.open();
  const pod = podOf({
    volumes: [
      { name: 'held', emptyDir: { medium: 'Memory' } },
      { name: 'free', emptyDir: { medium: 'Memory' } },
    ],
  });
  await world.mount(pod);
  const path = await world.hostPath(pod);
  await writeFile(join(path, 'f'), 'still here');
  const holder = spawn('sleep', ['60'], { cwd: path, stdio: 'ignore' });
  await once(holder, 'spawn');
  const error = await failureOf(world.unmount(pod));
  expect(error).toMatchObject({ failure: { code: 'busy', volume: 'held', call: 'UnmountVolume.TearDown' } });
  expect(error.message).toContain('target is busy');
  expect(world.manager.isPresent(uidOf(pod))).toBe(true);
  expect(await readFile(join(path, 'f'), 'utf8')).toBe('still here');
  expect(await world.mounts()).toHaveLength(1);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  await world.unmount(pod);
  expect(await world.mounts()).toEqual([]);
});

test('content that does not fit leaves the old content whole and says why', async () => {
  await using world = await VolumeWorld.open({ memory: '64Ki' });
  world.objects.secret('keys', { a: 'small' });
  const pod = podOf({ volumes: [{ name: 'keys', secret: { secretName: 'keys' } }] });
  await world.mount(pod);
  const path = await world.hostPath(pod);
  world.objects.secret('keys', { a: 'hidden'.repeat(30_000) });
  const error = await failureOf(world.mount(pod));
  expect(error.message).toMatch(/volume "keys".*ENOSPC/);
  expect(error.message).not.toContain('hidden');
  expect(await readFile(join(path, 'a'), 'utf8')).toBe('small');
  expect((await readdir(path)).filter((name) => /^\.\.\d/.test(name))).toHaveLength(1);
  world.objects.secret('keys', { a: 'fits' });
  await world.mount(pod);
  expect(await readFile(join(path, 'a'), 'utf8')).toBe('fits');
});

test('what a killed writer left is cleared, and hands that changed files are undone', async () => {
  await using world = await VolumeWorld.open();
  world.objects.configMap('settings', { a: '1' });
  const pod = podOf({ volumes: [{ name: 'config', configMap: { name: 'settings' } }] });
  await world.mount(pod);
  const path = await world.hostPath(pod);
  const current = await readlink(join(path, '..data'));
  await mkdir(join(path, '..2001_01_01_00_00_00.123'));
  await writeFile(join(path, '..2001_01_01_00_00_00.123/a'), 'half');
  await symlink('..2001_01_01_00_00_00.123', join(path, '..data_tmp'));
  await symlink('..data/gone', join(path, 'gone'));
  await world.restart();
  await world.mount(pod);
  expect((await readdir(path)).sort()).toEqual([current, '..data', 'a'].sort());
  await chmod(join(path, 'a'), 0o777);
  await world.restart();
  await world.mount(pod);
  expect((await stat(join(path, 'a'))).mode & 0o777).toBe(0o644);
});

test('a tmpfs that is gone comes back with its content', async () => {
  await using world = await VolumeWorld.open();
  world.objects.secret('keys', { a: '1' });
  const pod = podOf({ volumes: [{ name: 'keys', secret: { secretName: 'keys' } }] });
  await world.mount(pod);
  await hostProgram(['umount', await world.hostPath(pod)]);
  await world.restart();
  await world.mount(pod);
  expect(await readFile(join(await world.hostPath(pod), 'a'), 'utf8')).toBe('1');
  expect(await world.mounts()).toHaveLength(1);
});

test('volumes of pods that nobody wants are removed after a restart, others stay', async () => {
  await using world = await VolumeWorld.open();
  world.objects.secret('keys', { a: '1' });
  const pods = [0, 1].map(() =>
    podOf({
      volumes: [
        { name: 'keys', secret: { secretName: 'keys' } },
        { name: 'data', emptyDir: {} },
      ],
      container: {
        volumeMounts: [
          { name: 'data', mountPath: '/d', subPath: 'x' },
          { name: 'keys', mountPath: '/k' },
        ],
      },
    }),
  );
  for (const pod of pods) {
    await world.mount(pod);
    await world.hostPath(pod);
  }
  await world.restart();
  const [kept, gone] = pods.map(uidOf);
  expect(new Set(world.manager.presentPods())).toEqual(new Set([kept, gone]));
  for (const uid of world.manager.presentPods()) if (uid !== kept) await world.manager.unmountPod(uid, world.signal);
  await world.manager.removeUnused(world.signal);
  expect(world.manager.presentPods()).toEqual([kept]);
  expect(await world.mounts()).toHaveLength(2);
});

test('one volume that cannot be made does not keep the others from being made', async () => {
  await using world = await VolumeWorld.open();
  const pod = podOf({
    volumes: [
      { name: 'bad', secret: { secretName: 'absent' } },
      { name: 'worse', configMap: { name: 'absent' } },
      { name: 'good', emptyDir: { medium: 'Memory' } },
    ],
  });
  const { message } = await failureOf(world.mount(pod));
  expect(message).toContain('secret "absent" not found');
  expect(message).toContain('configmap "absent" not found');
  expect(await world.mounts()).toHaveLength(2);
  expect(world.manager.isMounted(pod)).toBe(false);
});

test('files for the environment are read from inside the volume only', async () => {
  await using world = await VolumeWorld.open();
  const pod = podOf({ volumes: [{ name: 'data', emptyDir: {} }] });
  await world.mount(pod);
  const path = await world.hostPath(pod);
  await mkdir(join(path, 'etc'));
  await writeFile(join(path, 'etc/passwd'), 'of the volume');
  await symlink('/etc/passwd', join(path, 'absolute'));
  await symlink('../../../../../../../../etc/passwd', join(path, 'relative'));
  await hostProgram(['mkfifo', join(path, 'fifo')]);
  const read = (name: string): Promise<string | undefined> =>
    world.manager.readVolumeFile(pod, 'data', name, world.signal);
  expect(await read('absolute')).toBe('of the volume');
  expect(await read('relative')).toBe('of the volume');
  expect(await read('../../etc/passwd')).toBe('of the volume');
  expect(await read('absent')).toBeUndefined();
  expect((await failureOf(read('fifo'))).message).toContain('not a regular file');
});

test('mount points of a container below a read-only volume are made in it', async () => {
  await using world = await VolumeWorld.open();
  world.objects.configMap('settings', { a: '1' });
  const pod = podOf({
    volumes: [
      { name: 'config', configMap: { name: 'settings' } },
      { name: 'data', emptyDir: {} },
    ],
    container: {
      volumeMounts: [
        { name: 'config', mountPath: '/etc/app/' },
        { name: 'data', mountPath: '/etc/app/cache/deep' },
      ],
    },
  });
  await world.mount(pod);
  expect((await stat(join(await world.hostPath(pod), 'cache/deep'))).isDirectory()).toBe(true);
});
