import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorText } from '../../../../base/errors.js';
import type { FlexVolumeSource, Pod, VolumeMount } from '../../../../agent/api/index.js';
import { loopsUnder } from '../../../csi/csi-world.js';
import { FlexWorld, withoutJq } from './flex-world.js';
import { failureOf, podOf, uidOf } from '../volume-world.js';

const podWith = (flexVolume: FlexVolumeSource, mount: Partial<VolumeMount> = {}, fsGroup?: number): Pod =>
  podOf({
    volumes: [{ name: 'flex', flexVolume }],
    pod: fsGroup === undefined ? {} : { securityContext: { fsGroup } },
    container: { volumeMounts: [{ name: 'flex', mountPath: '/flex', ...mount }] },
  });

/** Writes down each call and says what `cases` say; all else it does not support. */
const told = (log: string, cases: string): string => `#!/bin/sh
echo "$1" >>${log}
success() { echo '{"status":"Success"}'; exit 0; }
failure() { echo "{\\"status\\":\\"Failure\\",\\"message\\":\\"$1\\"}"; exit 1; }
case "$1" in
  init) echo '{"status":"Success","capabilities":{"attach":false}}' ;;
  ${cases}
  *) echo '{"status":"Not supported"}'; exit 1 ;;
esac
`;

test.skipIf(withoutJq)('volumeMode Block is refused before the driver is asked for anything', async () => {
  await using world = await FlexWorld.open();
  const { volumes } = world;
  const image = join(world.drivers, 'disk.img');
  volumes.objects.put('PersistentVolume', {
    metadata: { name: 'disk' },
    spec: {
      accessModes: ['ReadWriteOnce'],
      capacity: { storage: '16Mi' },
      volumeMode: 'Block',
      flexVolume: { driver: 'example.com/loopback', options: { image, create: '16m' } },
    },
  });
  volumes.objects.put('PersistentVolumeClaim', {
    metadata: { name: 'mine', namespace: 'default', uid: 'c' },
    spec: { accessModes: ['ReadWriteOnce'], volumeMode: 'Block', resources: { requests: { storage: '16Mi' } } },
  });
  const pod = podOf({
    volumes: [{ name: 'raw', persistentVolumeClaim: { claimName: 'mine' } }],
    container: { volumeMounts: [], volumeDevices: [{ name: 'raw', devicePath: '/dev/xvda' }] },
  });
  const error = await failureOf(volumes.mount(pod));
  expect(error).toMatchObject({ failure: { code: 'unsupported', volume: 'raw' } });
  expect(error.message).toBe(
    'MapVolume.FindMapperPluginBySpec failed for volume "raw" : flexvolume: ' +
      'volumes of this kind cannot be handed out as block devices (volumeMode Block)',
  );
  expect(await loopsUnder(world.drivers)).toEqual([]);
  expect(volumes.manager.volumesInUse).toEqual([]);
  await volumes.unmount(pod);
  expect(await readdir(join(volumes.root, 'plugins'))).not.toContain('kubernetes.io');
});

test.skipIf(withoutJq)(
  'a driver is not asked to undo what it says it did not do; what nobody knows it is',
  async () => {
    await using world = await FlexWorld.open();
    const { volumes } = world;
    const log = join(world.drivers, 'calls');
    const calls = async (): Promise<string[]> => (await readFile(log, 'utf8')).trim().split('\n');
    await world.install('picky', told(log, `mount) failure 'no such disk' ;; unmount) failure 'not mounted' ;;`));
    const refused = podWith({ driver: 'example.com/picky' });
    for (let attempt = 0; attempt < 2; attempt++)
      expect((await failureOf(volumes.mount(refused))).message).toContain('no such disk');
    await volumes.unmount(refused);
    expect(await calls()).toEqual(['init', 'mount', 'mount']);
    expect(await readdir(volumes.folder(refused))).toEqual([]);

    await world.install(
      'torn',
      told(log, `mount) mount -t tmpfs torn "$2"; kill -9 $$ ;; unmount) umount "$2" || failure busy; success ;;`),
    );
    const torn = podWith({ driver: 'example.com/torn' });
    expect((await failureOf(volumes.mount(torn))).message).toContain('killed by SIGKILL');
    expect(await volumes.mounts()).toHaveLength(1);
    await volumes.restart();
    await volumes.unmount(torn);
    expect((await calls()).slice(-1)).toEqual(['unmount']);
  },
);

test.skipIf(withoutJq)('a Secret reaches the driver byte by byte', async () => {
  await using world = await FlexWorld.open();
  const { volumes } = world;
  const got = join(world.drivers, 'key');
  const save = `jq -r '."kubernetes.io/secret/raw"' | base64 -d >${got}`;
  await world.install(
    'keyed',
    told(join(world.drivers, 'calls'), `mount) echo "$3" | ${save}; mount -t tmpfs keyed "$2"; success ;;`),
  );
  const raw = Buffer.from([0xff, 0x00, 0xc3, 0x28, 0x0a]);
  volumes.objects.put('Secret', {
    metadata: { namespace: 'default', name: 'keys' },
    type: 'example.com/keyed',
    data: { raw: raw.toString('base64') },
  });
  await volumes.mount(podWith({ driver: 'example.com/keyed', secretRef: { name: 'keys' } }));
  expect(await readFile(got)).toEqual(raw);
});

test.skipIf(withoutJq).each(['scratch', 'loopback'])(
  '%s: a volume that is busy stays whole and goes later',
  async (name) => {
    await using world = await FlexWorld.open();
    const { volumes } = world;
    const image = join(world.drivers, 'disk.img');
    const pod = podWith({ driver: `example.com/${name}`, options: name === 'scratch' ? {} : { image, create: '16m' } });
    await volumes.mount(pod);
    const path = await volumes.hostPath(pod);
    await writeFile(join(path, 'f'), 'still here');
    const before = await volumes.mounts();
    const holder = spawn('sleep', ['60'], { cwd: path, stdio: 'ignore' });
    await once(holder, 'spawn');
    const busy = await failureOf(volumes.unmount(pod));
    expect(busy.message).toMatch(/^UnmountVolume.TearDown failed for volume "flex" .*busy/s);
    expect(volumes.manager.isPresent(uidOf(pod))).toBe(true);
    expect(await volumes.mounts()).toEqual(before);
    expect(await readFile(join(path, 'f'), 'utf8')).toBe('still here');
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    await volumes.unmount(pod);
    expect(await volumes.mounts()).toEqual([]);
    expect(await loopsUnder(world.drivers)).toEqual([]);
  },
);

test.skipIf(withoutJq)('links that a container planted in its volume lead nobody out of it', async () => {
  await using world = await FlexWorld.open();
  const { volumes } = world;
  const outside = join(volumes.root, 'outside');
  await mkdir(outside);
  await writeFile(join(outside, 'user-file'), 'precious', { mode: 0o600 });
  const source = {
    driver: 'example.com/loopback',
    options: { image: join(world.drivers, 'disk.img'), create: '16m' },
  };
  const plain = podWith(source);
  await volumes.mount(plain);
  const path = await volumes.hostPath(plain);
  await symlink(outside, join(path, 'folder'));
  await symlink(join(outside, 'user-file'), join(path, 'file'));
  await volumes.unmount(plain);

  const pod = podWith(source, { subPath: 'folder' }, 3000);
  await volumes.mount(pod);
  expect(errorText(await failureOf(volumes.hostPath(pod)))).toContain('the path leads out of the volume');
  await volumes.unmount(pod);
  expect(await readFile(join(outside, 'user-file'), 'utf8')).toBe('precious');
  expect(await stat(join(outside, 'user-file'))).toMatchObject({ gid: 0, mode: 0o100600 });
  expect(await stat(outside)).toMatchObject({ gid: 0 });
});
