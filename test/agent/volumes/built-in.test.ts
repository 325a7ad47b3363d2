import { lstat, mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BoundView, failureOf, podOf, uidOf, VolumeWorld } from './volume-world.js';

const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o7777).toString(8);

test('an emptyDir on disk is a folder for anyone and goes with the pod', async () => {
  await using world = await VolumeWorld.open();
  const pod = podOf({ volumes: [{ name: 'data', emptyDir: {} }] });
  expect(world.manager.isMounted(pod)).toBe(false);
  await world.mount(pod);
  expect(world.manager.isMounted(pod)).toBe(true);
  const path = await world.hostPath(pod);
  expect(path).toBe(world.folder(pod, 'volumes/kubernetes.io~empty-dir/data'));
  expect(await modeOf(path)).toBe('777');
  expect(await readdir(world.folder(pod, 'plugins/kubernetes.io~empty-dir/data'))).toEqual(['ready']);
  {
    await using view = await BoundView.open(path);
    await writeFile(join(view.path, 'kept'), 'by the container');
  }
  await world.mount(pod);
  expect(await readFile(join(path, 'kept'), 'utf8')).toBe('by the container');
  await world.unmount(pod);
  expect(world.manager.isPresent(uidOf(pod))).toBe(false);
  await world.unmount(pod);
  expect(await readdir(world.folder(pod))).toEqual([]);
});

test('memory volumes are as large as the smallest limit and stay out of swap', async () => {
  await using world = await VolumeWorld.open({ memory: '64Mi' });
  const pod = podOf({
    volumes: [
      { name: 'limited', emptyDir: { medium: 'Memory', sizeLimit: '2Mi' } },
      { name: 'node', emptyDir: { medium: 'Memory' } },
      { name: 'greedy', emptyDir: { medium: 'Memory', sizeLimit: '1Gi' } },
    ],
  });
  const limitedPod = podOf({
    volumes: [{ name: 'pod', emptyDir: { medium: 'Memory' } }],
    container: { resources: { limits: { memory: '8Mi' } } },
  });
  await world.mount(pod);
  await world.mount(limitedPod);
  const lines = await world.mounts();
  const options = (name: string): string =>
    lines
      .find((line) => line.includes(`/${name} `))
      ?.split(' ')
      .pop() ?? '';
  expect(options('limited')).toBe('rw,size=2048k,noswap');
  expect(options('node')).toBe('rw,size=65536k,noswap');
  expect(options('greedy')).toBe('rw,size=65536k,noswap');
  expect(options('pod')).toBe('rw,size=8192k,noswap');
  expect(await modeOf(await world.hostPath(pod))).toBe('1777');
  await world.unmount(pod);
  await world.unmount(limitedPod);
  expect(await world.mounts()).toEqual([]);
});

test('a ConfigMap becomes files through one link, and changes all at once', async () => {
  await using world = await VolumeWorld.open();
  world.objects.configMap(
    'settings',
    { a: '1', b: '2' },
    { binaryData: { bin: Buffer.from([0, 255]).toString('base64') } },
  );
  const pod = podOf({ volumes: [{ name: 'config', configMap: { name: 'settings', defaultMode: 0o640 } }] });
  await world.mount(pod);
  const path = await world.hostPath(pod);
  await using view = await BoundView.open(path);
  expect((await readdir(view.path)).filter((name) => !name.startsWith('..')).sort()).toEqual(['a', 'b', 'bin']);
  expect(await readlink(join(view.path, 'a'))).toBe('..data/a');
  expect(await readlink(join(view.path, '..data'))).toMatch(/^\.\.\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\.\d+$/);
  expect(await readFile(join(view.path, 'bin'))).toEqual(Buffer.from([0, 255]));
  expect(await modeOf(join(view.path, 'a'))).toBe('640');

  const before = await readlink(join(path, '..data'));
  await world.mount(pod);
  expect(await readlink(join(path, '..data'))).toBe(before);

  const woken: string[] = [];
  using _ = world.manager.onChange((uid) => woken.push(uid));
  world.objects.configMap('settings', { a: 'one', c: '3' });
  expect(woken).toEqual([uidOf(pod)]);
  expect(world.manager.isMounted(pod)).toBe(false);
  await world.mount(pod);
  expect(world.manager.isMounted(pod)).toBe(true);
  expect((await readdir(view.path)).filter((name) => !name.startsWith('..')).sort()).toEqual(['a', 'c']);
  expect(await readFile(join(view.path, 'a'), 'utf8')).toBe('one');
  expect((await readdir(view.path)).filter((name) => /^\.\.\d/.test(name))).toHaveLength(1);
});

test('a missing ConfigMap or key says so; optional ones are left out and come later', async () => {
  await using world = await VolumeWorld.open();
  const absent = podOf({ volumes: [{ name: 'config', configMap: { name: 'settings' } }] });
  expect((await failureOf(world.mount(absent))).message).toBe(
    'MountVolume.SetUp failed for volume "config" : kubernetes.io/configmap: configmap "settings" not found',
  );
  expect(world.manager.isMounted(absent)).toBe(false);
  world.objects.configMap('settings', { a: '1' });
  const items = [{ key: 'x', path: 'x' }];
  const noKey = podOf({ volumes: [{ name: 'config', configMap: { name: 'settings', items } }] });
  expect(await failureOf(world.mount(noKey))).toMatchObject({
    message: expect.stringContaining('configmap references non-existent config key: x') as string,
    failure: { code: 'refused', volume: 'config', plugin: 'kubernetes.io/configmap', call: 'MountVolume.SetUp' },
  });
  world.objects.secret('s', { a: '1' });
  const noSecretKey = podOf({ volumes: [{ name: 'keys', secret: { secretName: 's', items } }] });
  expect((await failureOf(world.mount(noSecretKey))).message).toContain('references non-existent secret key: x');

  const optional = podOf({
    volumes: [{ name: 'config', configMap: { name: 'later', optional: true, items: [{ key: 'x', path: 'd/x' }] } }],
  });
  await world.mount(optional);
  const path = await world.hostPath(optional);
  expect((await readdir(path)).filter((name) => !name.startsWith('..'))).toEqual([]);
  world.objects.configMap('later', { x: 'here' });
  expect(world.manager.isMounted(optional)).toBe(false);
  await world.mount(optional);
  expect(await readFile(join(path, 'd/x'), 'utf8')).toBe('here');
});

test('secrets and projections live in memory, with modes, owners and order as asked', async () => {
  await using world = await VolumeWorld.open();
  world.objects.configMap('settings', { shared: 'from the map' });
  world.objects.secret('keys', { shared: 'from the secret', tls: 'hidden' });
  const pod = podOf({
    labels: { app: 'web' },
    volumes: [
      { name: 'secret', secret: { secretName: 'keys', defaultMode: 0o400 } },
      {
        name: 'all',
        projected: {
          defaultMode: 0o444,
          sources: [
            { configMap: { name: 'settings' } },
            { secret: { name: 'keys', items: [{ key: 'shared', path: 'shared', mode: 0o600 }] } },
            { downwardAPI: { items: [{ path: 'pod/labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
            {
              downwardAPI: {
                items: [
                  {
                    path: 'pod/memory',
                    resourceFieldRef: { containerName: 'main', resource: 'limits.memory', divisor: '1Mi' },
                  },
                ],
              },
            },
            { serviceAccountToken: { path: 'token', expirationSeconds: 600, audience: 'vault' } },
          ],
        },
      },
      {
        name: 'down',
        downwardAPI: { items: [{ path: 'note', fieldRef: { fieldPath: "metadata.annotations['note']" } }] },
      },
    ],
    pod: { securityContext: { runAsUser: 1234, fsGroup: 2345 }, serviceAccountName: 'robot' },
  });
  await world.mount(pod);
  const lines = await world.mounts();
  for (const name of ['secret', 'all', 'down'])
    expect(lines.some((line) => line.includes(`/${name} rw`) && line.includes('tmpfs'))).toBe(true);
  const all = await world.hostPath(pod, 1);
  expect(await readFile(join(all, 'shared'), 'utf8')).toBe('from the secret');
  expect(await readFile(join(all, 'pod/labels'), 'utf8')).toBe('app="web"');
  expect(await readFile(join(all, 'pod/memory'), 'utf8')).toBe('64');
  expect(await readFile(join(all, 'token'), 'utf8')).toBe('token-1-default-robot');
  expect(await stat(join(all, 'token'))).toMatchObject({ uid: 1234, gid: 2345 });
  expect(await modeOf(join(all, 'token'))).toBe('640');
  expect(await modeOf(join(all, 'shared'))).toBe('640');
  expect(await stat(join(all, 'shared'))).toMatchObject({ uid: 0, gid: 2345 });
  expect(await modeOf(join(all, 'pod'))).toBe('2755');
  expect(await modeOf(await world.hostPath(pod, 0))).toBe('3777');
  expect(await readFile(join(await world.hostPath(pod, 2), 'note'), 'utf8')).toBe('a "quoted" one');
  expect(world.objects.tokens[0]?.spec).toMatchObject({
    audiences: ['vault'],
    expirationSeconds: 600,
    boundObjectRef: { kind: 'Pod', name: 'web', uid: uidOf(pod) },
  });
  expect(world.manager.supplementalGroups(pod)).toEqual([2345]);
  const { mounts } = await world.manager.forContainer(pod, pod.spec!.containers[0]!, new Map(), world.signal);
  expect(mounts.every((mount) => mount.readonly)).toBe(true);

  await world.restart();
  expect(world.manager.isPresent(uidOf(pod))).toBe(true);
  expect(world.manager.isMounted(pod)).toBe(false);
  const before = await readlink(
    join(await (async () => world.folder(pod, 'volumes/kubernetes.io~secret/secret'))(), '..data'),
  );
  await world.mount(pod);
  expect(await readlink(world.folder(pod, 'volumes/kubernetes.io~secret/secret/..data'))).toBe(before);
  expect(await world.mounts()).toHaveLength(3);
});

test('labels that change reach downward API files', async () => {
  await using world = await VolumeWorld.open();
  const volumes = [
    { name: 'down', downwardAPI: { items: [{ path: 'l', fieldRef: { fieldPath: 'metadata.labels' } }] } },
  ];
  const pod = podOf({ volumes, labels: { a: '1' } });
  await world.mount(pod);
  expect(world.manager.isMounted({ ...pod })).toBe(true);
  const changed = podOf({ volumes, labels: { a: '2' }, uid: uidOf(pod) });
  expect(world.manager.isMounted(changed)).toBe(false);
  await world.mount(changed);
  expect(await readFile(join(await world.hostPath(changed), 'l'), 'utf8')).toBe('a="2"');
});

test('an immutable object is no longer watched; the last pod takes its watches along', async () => {
  await using world = await VolumeWorld.open();
  world.objects.configMap('fixed', { a: '1' }, { immutable: true });
  world.objects.configMap('open', { a: '1' });
  const pods = [1, 2].map(() =>
    podOf({
      volumes: [
        { name: 'f', configMap: { name: 'fixed' } },
        { name: 'o', configMap: { name: 'open' } },
      ],
    }),
  );
  for (const pod of pods) await world.mount(pod);
  expect(world.objects.watched).toBe(1);
  for (const pod of pods) await world.unmount(pod);
  expect(world.objects.watched).toBe(0);
});

test('content serves on while the control plane is away, after a restart too; new pods wait', async () => {
  await using world = await VolumeWorld.open();
  world.objects.secret('keys', { a: 'hidden' });
  const volumes = [{ name: 'keys', secret: { secretName: 'keys' } }];
  const pod = podOf({ volumes });
  await world.mount(pod);
  world.objects.available = false;
  await world.restart();
  await world.mount(pod);
  expect(world.manager.isMounted(pod)).toBe(true);
  expect(await readFile(join(await world.hostPath(pod), 'a'), 'utf8')).toBe('hidden');
  const error = await failureOf(world.mount(podOf({ volumes })));
  expect(error).toMatchObject({ failure: { volume: 'keys' } });
  expect(error.message).toContain('nobody answers');
});

test("hostPath types are checked and made in the kubelet's words", async () => {
  await using world = await VolumeWorld.open();
  const at = (name: string): string => join(world.root, 'host', name);
  await mkdir(at('dir'), { recursive: true });
  await writeFile(at('file'), '');
  await symlink(at('dir'), at('link'));
  const cases: [string, string, string | undefined][] = [
    [at('dir'), '', undefined],
    [at('absent'), '', undefined],
    [at('dir'), 'Directory', undefined],
    [at('link'), 'Directory', undefined],
    [at('file'), 'Directory', 'is not a directory'],
    [at('absent'), 'Directory', 'is not a directory'],
    [at('made/deep'), 'DirectoryOrCreate', undefined],
    [at('file'), 'DirectoryOrCreate', 'is not a directory'],
    [at('file'), 'File', undefined],
    [at('dir'), 'File', 'is not a file'],
    [at('new-file'), 'FileOrCreate', undefined],
    [at('no/parent'), 'FileOrCreate', 'ENOENT'],
    [at('file'), 'Socket', 'is not a socket file'],
    ['/dev/null', 'CharDevice', undefined],
    [at('file'), 'CharDevice', 'is not a character device'],
    ['/dev/null', 'BlockDevice', 'is not a block device'],
    [at('dir'), 'Folder', 'Folder is an invalid volume type'],
    [`${at('dir')}/../dir`, '', "must not contain '..'"],
  ];
  for (const [path, type, problem] of cases) {
    const pod = podOf({ volumes: [{ name: 'host', hostPath: { path, type: type as 'File' } }] });
    if (problem === undefined) {
      await world.mount(pod);
      expect(await world.hostPath(pod)).toBe(path);
      expect(world.manager.isPresent(uidOf(pod))).toBe(false);
    } else {
      expect((await failureOf(world.mount(pod))).message).toContain(problem);
    }
    await world.unmount(pod);
  }
  expect(await modeOf(at('made/deep'))).toBe('755');
  expect(await modeOf(at('new-file'))).toBe('644');
  await expect(lstat(at('absent'))).rejects.toThrow('ENOENT');
});

test('volumes that no container uses are not made; an unknown source is refused', async () => {
  await using world = await VolumeWorld.open();
  const unused = podOf({
    volumes: [{ name: 'idle', secret: { secretName: 'absent' } }],
    container: { volumeMounts: [] },
  });
  await world.mount(unused);
  expect(world.manager.isMounted(unused)).toBe(true);
  expect(world.manager.isPresent(uidOf(unused))).toBe(false);
  const odd = podOf({ volumes: [{ name: 'odd', gitRepo: { repository: 'https://example.com' } }] });
  expect((await failureOf(world.mount(odd))).message).toContain('no volume plugin matched');
});

test('usage tells the size of a tmpfs and the content of a folder', async () => {
  await using world = await VolumeWorld.open();
  const pod = podOf({
    volumes: [
      { name: 'disk', emptyDir: {} },
      { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
      { name: 'host', hostPath: { path: '/etc' } },
    ],
  });
  await world.mount(pod);
  await writeFile(join(await world.hostPath(pod, 0), 'f'), Buffer.alloc(100_000, 1));
  await writeFile(join(await world.hostPath(pod, 1), 'f'), Buffer.alloc(100_000, 1));
  const [disk, memory, ...rest] = await world.manager.usage(uidOf(pod), world.signal);
  expect(rest).toEqual([]);
  expect(disk?.usedBytes).toBeGreaterThanOrEqual(100_000);
  expect(disk?.usedBytes).toBeLessThan(200_000);
  expect(disk?.inodesUsed).toBe(2);
  expect(memory).toMatchObject({ volume: 'memory', capacityBytes: 1024 * 1024, usedBytes: 102_400 });
});
