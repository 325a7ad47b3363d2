import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type {
  PersistentVolume,
  PersistentVolumeClaim,
  PersistentVolumeSpec,
  Volume,
} from '../../../agent/api/index.js';
import { hostProgram } from '../../support/host-program.js';
import { failureOf, firstContainer, podOf, VolumeWorld, type ObjectWorld } from './volume-world.js';

const claimed: Volume[] = [{ name: 'data', persistentVolumeClaim: { claimName: 'mine' } }];
const once = ['ReadWriteOnce' as const];

function claim(objects: ObjectWorld, spec: PersistentVolumeClaim['spec'] = {}, rest: PersistentVolumeClaim = {}): void {
  objects.put('PersistentVolumeClaim', {
    metadata: { name: 'mine', namespace: 'default', uid: 'claim-1' },
    spec: { accessModes: once, resources: { requests: { storage: '1Gi' } }, ...spec },
    ...rest,
  });
}

function volume(name: string, spec: PersistentVolumeSpec, annotations: Record<string, string> = {}): PersistentVolume {
  return { metadata: { name, annotations }, spec: { accessModes: once, capacity: { storage: '1Gi' }, ...spec } };
}

test('a claim is bound once to what fits, keeps it over a restart, and a folder of the node is mounted', async () => {
  await using world = await VolumeWorld.open();
  const folder = join(world.root, 'disk');
  await mkdir(folder);
  await writeFile(join(folder, 'kept'), 'user data');
  claim(world.objects);
  const pod = podOf({ volumes: claimed, pod: { securityContext: { fsGroup: 4000 } } });
  expect((await failureOf(world.mount(pod))).message).toContain(
    'error processing PVC default/mine: PVC is not bound: no persistent volume of storage class "" is free and fits',
  );
  world.objects.put('PersistentVolume', volume('small', { local: { path: folder }, capacity: { storage: '1Mi' } }));
  world.objects.put(
    'PersistentVolume',
    volume('right', { local: { path: folder } }, { 'pv.beta.kubernetes.io/gid': '5000' }),
  );
  await world.mount(pod);
  const path = await world.hostPath(pod);
  expect(path).toBe(world.folder(pod, 'volumes/kubernetes.io~local-volume/right'));
  expect(await readFile(join(path, 'kept'), 'utf8')).toBe('user data');
  expect(await stat(join(folder, 'kept'))).toMatchObject({ gid: 4000 });
  expect((await stat(join(folder, 'kept'))).mode & 0o777).toBe(0o664);
  expect(world.manager.supplementalGroups(pod)).toEqual([4000, 5000]);

  world.objects.put('PersistentVolume', volume('a-better-one', { local: { path: '/nowhere' } }));
  await world.restart();
  await world.mount(pod);
  expect(await world.mounts()).toHaveLength(1);
  await world.unmount(pod);
  expect(await readdir(folder)).toEqual(['kept']);
  expect(await readdir(world.folder(pod))).toEqual([]);
});

test('OnRootMismatch leaves a tree alone whose root fits', async () => {
  await using world = await VolumeWorld.open();
  const folder = join(world.root, 'disk');
  await mkdir(folder);
  await writeFile(join(folder, 'f'), '', { mode: 0o600 });
  claim(world.objects);
  world.objects.put('PersistentVolume', volume('disk', { local: { path: folder } }));
  const mountWith = async (fsGroupChangePolicy: 'OnRootMismatch' | 'Always'): Promise<number> => {
    const pod = podOf({ volumes: claimed, pod: { securityContext: { fsGroup: 4000, fsGroupChangePolicy } } });
    await world.mount(pod);
    await world.unmount(pod);
    return (await stat(join(folder, 'f'))).gid;
  };
  await hostProgram(['chgrp', '4000', folder]);
  await chmod(folder, 0o2770);
  expect(await mountWith('OnRootMismatch')).toBe(0);
  await chmod(folder, 0o770);
  expect(await mountWith('OnRootMismatch')).toBe(4000);
  await hostProgram(['chgrp', '0', join(folder, 'f')]);
  expect(await mountWith('Always')).toBe(4000);
});

test('in a cluster both sides must say that they are bound, and the volume must be meant for this node', async () => {
  await using world = await VolumeWorld.open({ standalone: false });
  const pod = podOf({ volumes: claimed });
  const words = async (): Promise<string> => (await failureOf(world.mount(pod))).message;
  expect(await words()).toContain('persistentvolumeclaim "mine" not found');
  claim(world.objects);
  expect(await words()).toContain('PVC is not bound');
  const bound = { status: { phase: 'Bound' } };
  claim(world.objects, { volumeName: 'v' }, bound);
  expect(await words()).toContain('persistentvolume "v" not found');
  const local = { local: { path: world.root } };
  world.objects.put('PersistentVolume', volume('v', local));
  expect(await words()).toContain('nil pv.Spec.ClaimRef');
  world.objects.put('PersistentVolume', volume('v', { ...local, claimRef: { uid: 'other' } }));
  expect(await words()).toContain('does not point to claim.UID claim-1');
  const nodeAffinity = (zone: string) => ({
    required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator: 'In' as const, values: [zone] }] }] },
  });
  const right = { ...local, claimRef: { uid: 'claim-1' } };
  world.objects.put('PersistentVolume', volume('v', { ...right, nodeAffinity: nodeAffinity('b') }));
  expect(await words()).toContain('no matching NodeSelectorTerms');
  world.objects.put('PersistentVolume', volume('v', { ...right, nodeAffinity: nodeAffinity('a') }));
  await world.mount(pod);
  // A node may not watch these.
  expect(world.objects.watched).toBe(0);
  expect(await words2(world, pod)).toBe('');
  // The claim goes; the pod that has its volume goes on.
  world.objects.remove('PersistentVolumeClaim', 'default', 'mine');
  expect(await words2(world, pod)).toBe('');
});

async function words2(world: VolumeWorld, pod: Parameters<VolumeWorld['mount']>[0]): Promise<string> {
  return await world.mount(pod).then(
    () => '',
    (err: unknown) => String(err),
  );
}

test('ReadWriteOncePod holds over a restart', async () => {
  await using world = await VolumeWorld.open();
  const folder = join(world.root, 'disk');
  await mkdir(folder);
  claim(world.objects, { accessModes: ['ReadWriteOncePod'] });
  world.objects.put('PersistentVolume', volume('disk', { local: { path: folder }, accessModes: ['ReadWriteOncePod'] }));
  const [first, second] = [podOf({ volumes: claimed }), podOf({ volumes: claimed })];
  await world.mount(first);
  await world.restart();
  expect((await failureOf(world.mount(second))).message).toContain(
    'volume uses the ReadWriteOncePod access mode and is already in use by another pod',
  );
  await world.mount(first);
  await world.unmount(second);
  await world.unmount(first);
  await world.mount(second);
});

test('a generic ephemeral volume belongs to its pod', async () => {
  await using world = await VolumeWorld.open({ standalone: false });
  const pod = podOf({ volumes: [{ name: 'scratch', ephemeral: { volumeClaimTemplate: { spec: {} } } }] });
  expect((await failureOf(world.mount(pod))).message).toContain('persistentvolumeclaim "web-scratch" not found');
  world.objects.put('PersistentVolumeClaim', { metadata: { name: 'web-scratch', namespace: 'default' } });
  expect((await failureOf(world.mount(pod))).message).toContain(
    'PVC default/web-scratch was not created for pod default/web (pod is not owner)',
  );
});

test('a disk of the node is formatted once, mounted once, and handed out raw to who asks for it', async () => {
  await using world = await VolumeWorld.open();
  const image = join(world.root, 'image');
  await hostProgram(['truncate', '-s', '32M', image]);
  const device = (await hostProgram(['losetup', '--find', '--show', image])).trim();
  try {
    claim(world.objects);
    world.objects.put('PersistentVolume', volume('disk', { local: { path: device, fsType: 'ext4' } }));
    const pods = [podOf({ volumes: claimed }), podOf({ volumes: claimed })];
    for (const pod of pods) await world.mount(pod);
    await writeFile(join(await world.hostPath(pods[0]!), 'f'), 'shared');
    expect(await readFile(join(await world.hostPath(pods[1]!), 'f'), 'utf8')).toBe('shared');
    expect(await readdir(join(world.root, 'plugins/kubernetes.io/local-volume/mounts'))).toEqual(['disk']);
    await world.restart();
    await world.unmount(pods[0]!);
    expect(await readFile(join(world.root, 'plugins/kubernetes.io/local-volume/mounts/disk/f'), 'utf8')).toBe('shared');
    await world.unmount(pods[1]!);
    expect(await world.mounts()).toEqual([]);

    const again = podOf({ volumes: claimed });
    await world.mount(again);
    expect(await readFile(join(await world.hostPath(again), 'f'), 'utf8')).toBe('shared');
    await world.unmount(again);

    const raw = podOf({
      volumes: [{ name: 'raw', persistentVolumeClaim: { claimName: 'block' } }],
      container: { volumeMounts: [], volumeDevices: [{ name: 'raw', devicePath: '/dev/xvda' }] },
    });
    world.objects.put('PersistentVolumeClaim', {
      metadata: { name: 'block', namespace: 'default', uid: 'claim-2' },
      spec: { accessModes: once, volumeMode: 'Block', volumeName: 'raw-disk' },
    });
    world.objects.put('PersistentVolume', volume('raw-disk', { local: { path: device }, volumeMode: 'Block' }));
    await world.mount(raw);
    const { devices } = await world.manager.forContainer(raw, firstContainer(raw), new Map(), world.signal);
    const link = world.folder(raw, 'volumeDevices/kubernetes.io~local-volume/raw-disk');
    expect(devices).toEqual([{ hostPath: link, containerPath: '/dev/xvda', permissions: 'mrw' }]);
    expect((await stat(link)).isBlockDevice()).toBe(true);
    await world.unmount(raw);
    expect((await stat(device)).isBlockDevice()).toBe(true);
  } finally {
    await hostProgram(['losetup', '--detach', device]);
  }
});

test('a disk with something else than a file system on it is never formatted', async () => {
  await using world = await VolumeWorld.open();
  const image = join(world.root, 'image');
  await hostProgram(['truncate', '-s', '8M', image]);
  const device = (await hostProgram(['losetup', '--find', '--show', image])).trim();
  try {
    await hostProgram(['busybox', 'sh', '-c', `printf 'o\\nn\\np\\n1\\n\\n\\nw\\n' | fdisk ${device}; true`]);
    claim(world.objects);
    world.objects.put('PersistentVolume', volume('disk', { local: { path: device } }));
    const pod = podOf({ volumes: claimed });
    expect((await failureOf(world.mount(pod))).message).toMatch(/MountVolume.MountDevice failed.*it is not formatted/);
    await world.unmount(pod);
  } finally {
    await hostProgram(['losetup', '--detach', device]);
  }
});

test('a disk with another file system than its volume says is told on the volume, which alone can be mended', async () => {
  await using world = await VolumeWorld.open();
  const image = join(world.root, 'image');
  await hostProgram(['truncate', '-s', '8M', image]);
  await hostProgram(['mkfs.ext4', '-q', image]);
  const device = (await hostProgram(['losetup', '--find', '--show', image])).trim();
  try {
    claim(world.objects);
    world.objects.put('PersistentVolume', volume('disk', { local: { path: device, fsType: 'ext9' } }));
    const pod = podOf({ volumes: claimed });
    const { message } = await failureOf(world.mount(pod));
    expect(message).toContain(`mount ${device}, which holds ext4, as ext9: exited with`);
    expect(world.events).toEqual([
      expect.stringContaining('Warning FailedMountOnFilesystemMismatch MountVolume failed for volume "disk" mount'),
    ]);
    await world.unmount(pod);
  } finally {
    await hostProgram(['losetup', '--detach', device]);
  }
});

test('an image volume is left to the runtime', async () => {
  const pulls: string[] = [];
  await using world = await VolumeWorld.open({
    drivers: {
      pullImage: (_pod, { image }) => {
        pulls.push(image?.reference ?? '');
        return Promise.resolve({ image: 'sha256:abc', userSpecifiedImage: image?.reference });
      },
    },
  });
  const pod = podOf({
    volumes: [{ name: 'site', image: { reference: 'example.com/site:1' } }],
    container: { volumeMounts: [{ name: 'site', mountPath: '/site', subPath: 'html' }] },
  });
  await world.mount(pod);
  await world.mount(pod);
  const { mounts } = await world.manager.forContainer(pod, firstContainer(pod), new Map(), world.signal);
  expect(mounts).toEqual([
    {
      containerPath: '/site',
      image: { image: 'sha256:abc', userSpecifiedImage: 'example.com/site:1' },
      imageSubPath: 'html',
      readonly: true,
      propagation: 'PROPAGATION_PRIVATE',
      recursiveReadOnly: false,
    },
  ]);
  expect(pulls).toEqual(['example.com/site:1']);
});

test("an NFS volume shows the mount program's own answer", async () => {
  await using world = await VolumeWorld.open();
  const pod = podOf({ volumes: [{ name: 'share', nfs: { server: '127.0.0.1', path: '/srv' } }] });
  const { message } = await failureOf(world.mount(pod));
  expect(message).toMatch(
    /^MountVolume.SetUp failed for volume "share" : kubernetes.io\/nfs: mount -t nfs 127.0.0.1:\/srv: .*\w/,
  );
  await world.unmount(pod);
});
