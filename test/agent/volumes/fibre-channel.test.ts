import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import type { Volume } from '../../../agent/api/index.js';
import { FcPlugin } from '../../../agent/volumes/plugins/fc/fc-volume.js';
import { hostProgram, tryHostProgram } from '../../support/host-program.js';
import { failureOf, firstContainer, podOf, VolumeWorld } from './volume-world.js';

/** No machine here has such an array: the kernel's and udev's folders are the test's own, the disk behind them is a real one. */
class FcArray implements AsyncDisposable {
  readonly folder: string;
  readonly device: string;

  private constructor(folder: string, device: string) {
    this.folder = folder;
    this.device = device;
  }

  static async open(): Promise<FcArray> {
    const folder = await mkdtemp(join(tmpdir(), 'berth-fc-'));
    const image = join(folder, 'image');
    await hostProgram(['truncate', '-s', '32M', image]);
    const device = (await hostProgram(['losetup', '--find', '--show', image])).trim();
    for (const path of [
      'disk/by-path',
      'disk/by-id',
      'sys/class/scsi_host/host0',
      `sys/block/${basename(device)}/device`,
    ])
      await mkdir(join(folder, path), { recursive: true });
    return new FcArray(folder, device);
  }

  get roots(): { sys: string; disks: string } {
    return { sys: join(this.folder, 'sys'), disks: join(this.folder, 'disk') };
  }

  get link(): string {
    return join(this.folder, 'disk/by-path/pci-0000:41:00.0-fc-0x500a0981891b8dc5-lun-3');
  }

  async appear(): Promise<void> {
    await symlink(`../../${basename(this.device)}`, this.link);
  }

  /** What was written for the kernel to read. */
  async told(what: string): Promise<string> {
    return await readFile(join(this.folder, 'sys', what), 'utf8').catch(() => '');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await tryHostProgram(['losetup', '--detach', this.device]);
    await rm(this.folder, { recursive: true });
  }
}

const fc = { targetWWNs: ['500a0981891b8dc5', '500a0981891b8dc6'], lun: 3 };
const inline: Volume[] = [{ name: 'disk', fc }];

test('a Fibre Channel disk is found, formatted once, mounted once, and let go after the last pod', async () => {
  await using array = await FcArray.open();
  await using world = await VolumeWorld.open({
    drivers: { plugins: (context) => [new FcPlugin(context, array.roots)] },
  });
  const pods = [podOf({ volumes: inline, pod: { securityContext: { fsGroup: 3000 } } }), podOf({ volumes: inline })];
  expect((await failureOf(world.mount(pods[0]!))).message).toMatch(
    /^MountVolume.WaitForAttach failed for volume "disk" : kubernetes.io\/fc: no fc disk found: .* leads to 500a0981891b8dc5, 500a0981891b8dc6 lun 3/,
  );
  expect(await array.told('class/scsi_host/host0/scan')).toBe('- - -');
  await array.appear();
  for (const pod of pods) await world.mount(pod);
  const key = '500a0981891b8dc5-500a0981891b8dc6-lun-3';
  expect(world.manager.volumesInUse).toEqual([]);
  expect(await readdir(join(world.root, 'plugins/kubernetes.io/fc'))).toEqual([key]);
  const path = await world.hostPath(pods[0]!);
  expect(path).toBe(world.folder(pods[0]!, 'volumes/kubernetes.io~fc/disk'));
  expect(await stat(path)).toMatchObject({ gid: 3000 });
  await writeFile(join(path, 'f'), 'shared');
  expect(await readFile(join(await world.hostPath(pods[1]!), 'f'), 'utf8')).toBe('shared');
  await world.restart();
  await world.unmount(pods[0]!);
  const deleted = `block/${basename(array.device)}/device/delete`;
  expect(await array.told(deleted)).toBe('');
  await world.unmount(pods[1]!);
  expect(await array.told(deleted)).toBe('1');
  expect(await world.mounts()).toEqual([]);
  expect(await readdir(join(world.root, 'plugins/kubernetes.io/fc'))).toEqual([]);

  const raw = podOf({
    volumes: [{ name: 'raw', persistentVolumeClaim: { claimName: 'raw' } }],
    container: { volumeMounts: [], volumeDevices: [{ name: 'raw', devicePath: '/dev/xvda' }] },
  });
  world.objects.put('PersistentVolumeClaim', {
    metadata: { name: 'raw', namespace: 'default', uid: 'c' },
    spec: { accessModes: ['ReadWriteOnce'], volumeMode: 'Block' },
  });
  world.objects.put('PersistentVolume', {
    metadata: { name: 'raw-disk' },
    spec: { accessModes: ['ReadWriteOnce'], volumeMode: 'Block', capacity: { storage: '32Mi' }, fc },
  });
  await world.mount(raw);
  const { devices } = await world.manager.forContainer(raw, firstContainer(raw), new Map(), world.signal);
  const link = world.folder(raw, 'volumeDevices/kubernetes.io~fc/raw-disk');
  expect(devices).toEqual([{ hostPath: link, containerPath: '/dev/xvda', permissions: 'mrw' }]);
  expect((await stat(link)).isBlockDevice()).toBe(true);
  await rm(join(array.roots.sys, deleted));
  await world.restart();
  await world.unmount(raw);
  expect(await array.told(deleted)).toBe('1');
  await unlink(array.link);
});
