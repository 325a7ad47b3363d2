import { statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Pod } from '../../../agent/api/index.js';
import { programSucceeded } from '../../../base/run-program.js';
import { BuiltExample } from '../../csi/build-example.js';
import { hostProgram, tryHostProgram } from '../../support/host-program.js';
import { CsiVolumeWorld, name, podUsing } from './csi/csi-volume-world.js';
import { FlexWorld, withoutJq } from './flex-volume/flex-world.js';
import { podOf, uidOf, VolumeWorld } from './volume-world.js';

// Growing a mounted ext4 needs CAP_SYS_RESOURCE, which not every machine gives its root; a mounted XFS grows for CAP_SYS_ADMIN.
const withoutXfs = process.env['CI'] !== 'true' && !programSucceeded(await tryHostProgram(['mkfs.xfs', '-V']));
if (withoutXfs) process.stderr.write('SKIPPED: without mkfs.xfs nothing can be grown while it is mounted\n');

// XFS keeps 64 MiB for its log.
const mega = 1024 * 1024;
const claimName = 'mine';
const pod = (): Pod => podOf({ volumes: [{ name: 'data', persistentVolumeClaim: { claimName } }] });

function ask(volumes: VolumeWorld, storage: string): void {
  volumes.objects.put('PersistentVolumeClaim', {
    metadata: { name: claimName, namespace: 'default', uid: 'c' },
    spec: { storageClassName: 'disks', accessModes: ['ReadWriteOnce'], resources: { requests: { storage } } },
  });
}

async function sizeOf(volumes: VolumeWorld, of: Pod): Promise<number> {
  const { blocks, bsize } = await statfs(await volumes.hostPath(of));
  return blocks * bsize;
}

/** Grows the disk, and leaves its file system to the agent. */
const halfDriver = (folder: string): string => `#!/bin/sh
image=${folder}/disk.img
device() { losetup -n -O NAME -j $image | tr -d ' '; }
success() { printf '{"status":"Success"%s}\\n' "$1"; }
echo "$1 $4" >> ${folder}/calls
case "$1" in
  init) success ',"capabilities":{"attach":true}' ;;
  attach) [ -n "$(device)" ] || losetup -f "$image"; success ",\\"device\\":\\"$(device)\\"" ;;
  waitforattach) success ",\\"device\\":\\"$2\\"" ;;
  detach) [ -z "$(device)" ] || losetup -d "$(device)"; while [ -n "$(device)" ]; do sleep 0.1; done; success ;;
  unmountdevice) umount "$2"; success ;;
  expandvolume) truncate -s "$4" $image && losetup -c "$(device)"; success ",\\"volumeNewSize\\":$4" ;;
  *) echo '{"status":"Not supported"}'; exit 1 ;;
esac
`;

/** That it was attached is told too. */
const growths = ({ events }: { readonly events: readonly string[] }): string[] =>
  events.filter((event) => event.includes('Resize'));

let example: BuiltExample;
beforeAll(async () => {
  example = await BuiltExample.build();
});
afterAll(async () => await example[Symbol.asyncDispose]());

test.skipIf(withoutJq || withoutXfs)(
  'a claim that asks for more grows a FlexVolume under its pod, by the agent where the driver grows no file systems',
  async () => {
    await using world = await FlexWorld.open();
    const { volumes } = world;
    await world.install('half', halfDriver(world.drivers));
    await hostProgram(['truncate', '-s', '320M', join(world.drivers, 'disk.img')]);
    volumes.objects.put('StorageClass', {
      metadata: { name: 'disks' },
      provisioner: 'kubernetes.io/no-provisioner',
      allowVolumeExpansion: true,
    });
    volumes.objects.put('PersistentVolume', {
      metadata: { name: 'disk' },
      spec: {
        storageClassName: 'disks',
        accessModes: ['ReadWriteOnce'],
        capacity: { storage: '320Mi' },
        flexVolume: { driver: 'example.com/half', fsType: 'xfs' },
      },
    });
    ask(volumes, '300Mi');
    const first = pod();
    await volumes.mount(first);
    await writeFile(join(await volumes.hostPath(first), 'kept'), 'user data');
    expect(await sizeOf(volumes, first)).toBeLessThan(270 * mega);
    expect(growths(volumes)).toEqual([]);

    // Online: under the pod that uses it.
    ask(volumes, '400Mi');
    await volumes.mount(first);
    expect(growths(volumes)).toEqual([expect.stringContaining('Normal FileSystemResizeSuccessful')]);
    expect(await sizeOf(volumes, first)).toBeGreaterThan(330 * mega);
    await volumes.mount(first);
    await volumes.restart();
    await volumes.mount(first);
    expect(growths(volumes)).toHaveLength(1);
    await volumes.unmount(first);

    // Offline: nobody has it mounted, the next pod finds it grown.
    ask(volumes, '480Mi');
    await volumes.restart();
    const next = pod();
    await volumes.mount(next);
    expect(await sizeOf(volumes, next)).toBeGreaterThan(410 * mega);
    expect(growths(volumes)).toHaveLength(2);
    await volumes.unmount(next);
  },
);

test.skipIf(withoutJq)('what its class does not let grow keeps its size, and nobody is asked', async () => {
  await using world = await FlexWorld.open();
  const { volumes } = world;
  volumes.objects.put('PersistentVolume', {
    metadata: { name: 'disk' },
    spec: {
      storageClassName: 'disks',
      accessModes: ['ReadWriteOnce'],
      capacity: { storage: '16Mi' },
      flexVolume: { driver: 'example.com/scratch', options: { size: '16m' } },
    },
  });
  ask(volumes, '16Mi');
  const one = pod();
  await volumes.mount(one);
  ask(volumes, '64Mi');
  await volumes.mount(one);
  expect(await sizeOf(volumes, one)).toBe(16 * mega);
  expect(volumes.events).toEqual([]);
});

test.skipIf(withoutXfs)('a disk of the node that somebody made larger grows under its pod', async () => {
  await using world = await VolumeWorld.open();
  const image = join(world.root, 'image');
  await hostProgram(['truncate', '-s', '320M', image]);
  const device = (await hostProgram(['losetup', '--find', '--show', image])).trim();
  try {
    const put = (storage: string): void =>
      world.objects.put('PersistentVolume', {
        metadata: { name: 'disk' },
        spec: {
          storageClassName: 'disks',
          accessModes: ['ReadWriteOnce'],
          capacity: { storage },
          local: { path: device, fsType: 'xfs' },
        },
      });
    put('320Mi');
    ask(world, '300Mi');
    const one = pod();
    await world.mount(one);
    await hostProgram(['truncate', '-s', '400M', image]);
    await hostProgram(['losetup', '--set-capacity', device]);
    put('400Mi');
    await world.mount(one);
    expect(world.events).toEqual([expect.stringContaining('Normal FileSystemResizeSuccessful')]);
    expect(await sizeOf(world, one)).toBeGreaterThan(330 * mega);
    await world.unmount(one);
  } finally {
    await hostProgram(['losetup', '--detach', device]);
  }
});

test('a claim that asks for more grows, now or with the next pod; what fails is tried again, what cannot be is not', async () => {
  await using world = await CsiVolumeWorld.open(example);
  const { volumes } = world;
  const claim = (storage: string): void =>
    world.claim('mine', { storageClassName: 'image', resources: { requests: { storage } } });
  claim('16Mi');
  const one = podUsing('mine');
  await volumes.mount(one);
  const before = await sizeOf(volumes, one);
  expect(before).toBeLessThan(16 * mega);

  const woken: string[] = [];
  using _ = volumes.manager.onChange((uid) => woken.push(uid));
  claim('32Mi');
  expect(woken).toEqual([uidOf(one)]);
  await world.driver.break({
    NodeExpandVolume: { action: 'fail', when: 'before', code: 13, message: 'not now', times: 1 },
  });
  await volumes.mount(one);
  expect(volumes.events.join('\n')).toMatch(/Warning VolumeResizeFailed .*NodeExpandVolume.*not now/);
  expect(await sizeOf(volumes, one)).toBe(before);
  // Nothing else changes: the agent comes back to it by itself.
  woken.length = 0;
  await vi.waitUntil(() => woken.length > 0, { timeout: 60_000 });
  await volumes.mount(one);
  const expansions = (): string[] => world.csi.verbs().filter((verb) => verb.endsWith('ExpandVolume'));
  expect(expansions()).toEqual(['ControllerExpandVolume', 'NodeExpandVolume', 'NodeExpandVolume']);
  const words = volumes.events.at(-1) ?? '';
  if (/Permission denied to resize filesystem/.test(words))
    process.stderr.write('SKIPPED: online expansion is not possible on this machine, only offline was tested\n');
  else expect(words).toContain('Normal FileSystemResizeSuccessful');
  await volumes.unmount(one);

  await volumes.restart();
  const next = podUsing('mine');
  await volumes.mount(next);
  expect(await sizeOf(volumes, next)).toBeGreaterThan(20 * mega);
  expect(volumes.events.at(-1)).toContain('Normal FileSystemResizeSuccessful');
  const asked = expansions();
  // What has its size is not asked for again.
  await volumes.restart();
  await volumes.mount(next);
  expect(expansions()).toEqual(asked);

  claim('1Ti');
  await volumes.mount(next);
  expect(volumes.events.at(-1)).toMatch(/Warning VolumeResizeFailed .*ControllerExpandVolume.*out-of-range/);
  claim('48Mi');
  await world.driver.break({
    NodeExpandVolume: { action: 'fail', when: 'before', code: 11, message: 'never', times: 1 },
  });
  await volumes.mount(next);
  await volumes.mount(next);
  expect(volumes.events.at(-1)).toContain('never');
  expect(expansions().slice(asked.length)).toEqual([
    'ControllerExpandVolume',
    'ControllerExpandVolume',
    'NodeExpandVolume',
  ]);
  await volumes.unmount(next);
});

test.skipIf(withoutXfs)('a volume of a CSI driver grows under its pod, with every call that takes', async () => {
  await using world = await CsiVolumeWorld.open(example);
  const { volumes } = world;
  volumes.objects.put('StorageClass', {
    metadata: { name: 'disks' },
    provisioner: name,
    allowVolumeExpansion: true,
    parameters: { kind: 'image', 'csi.storage.k8s.io/fstype': 'xfs' },
  });
  ask(volumes, '320Mi');
  const one = pod();
  await volumes.mount(one);
  expect(await sizeOf(volumes, one)).toBeLessThan(270 * mega);
  ask(volumes, '400Mi');
  await volumes.mount(one);
  expect(volumes.events).toEqual([expect.stringContaining('Normal FileSystemResizeSuccessful')]);
  expect(await sizeOf(volumes, one)).toBeGreaterThan(330 * mega);
  expect(world.csi.verbs().filter((verb) => verb.endsWith('ExpandVolume'))).toEqual([
    'ControllerExpandVolume',
    'NodeExpandVolume',
  ]);
  await volumes.unmount(one);
});
