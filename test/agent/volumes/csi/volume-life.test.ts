import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { VolumeAttachment } from '../../../../agent/api/index.js';
import { csiStagingPath } from '../../../../csi/index.js';
import { BuiltExample } from '../../../csi/build-example.js';
import { claimed, CsiVolumeWorld, name, podUsing } from './csi-volume-world.js';
import { failureOf, firstContainer, podOf, uidOf, VolumeWorld } from '../volume-world.js';

const soon = { timeout: 60_000 };

let example: BuiltExample;
beforeAll(async () => {
  example = await BuiltExample.build();
});
afterAll(async () => await example[Symbol.asyncDispose]());

test('a claim of a storage class is made, attached, staged, published, kept over restarts, and undone in order', async () => {
  await using world = await CsiVolumeWorld.open(example, ['--attach']);
  const { volumes } = world;
  world.claim('mine');
  const pods = [podUsing('mine', 3000), podUsing('mine', 3000)];
  for (const pod of pods) await volumes.mount(pod);
  const path = await volumes.hostPath(pods[0]!);
  expect(path).toBe(volumes.folder(pods[0]!, 'volumes/kubernetes.io~csi/pvc-uid-of-mine/mount'));
  expect(await stat(path)).toMatchObject({ gid: 3000 });
  await writeFile(join(path, 'f'), 'shared');
  expect(await readFile(join(await volumes.hostPath(pods[1]!), 'f'), 'utf8')).toBe('shared');
  const verbs = world.csi.verbs().filter((verb) => /Create|ControllerPublish|NodeStage|NodePublish/.test(verb));
  expect(verbs).toEqual([
    'CreateVolume',
    'ControllerPublishVolume',
    'NodeStageVolume',
    'NodePublishVolume',
    'NodePublishVolume',
  ]);
  const record = JSON.parse(await readFile(join(path, '../vol_data.json'), 'utf8')) as Record<string, string>;
  expect(record).toMatchObject({ driverName: name, specVolID: 'pvc-uid-of-mine', volumeLifecycleMode: 'Persistent' });
  expect(volumes.manager.volumesInUse).toEqual([`kubernetes.io/csi/${name}^${record['volumeHandle'] ?? ''}`]);
  expect([...volumes.manager.wantedByPlugin]).toEqual([[`kubernetes.io/csi:${name}`, 2]]);
  expect([...volumes.manager.mountedByPlugin]).toEqual([[`kubernetes.io/csi:${name}`, 2]]);

  const attached = (): string[] => volumes.events.filter((event) => event.includes('Attach'));
  const told = 'Normal SuccessfulAttachVolume AttachVolume.Attach succeeded for volume "pvc-uid-of-mine"';
  expect(attached()).toEqual([told]);

  await volumes.restart();
  await volumes.mount(pods[0]!);
  expect(volumes.manager.volumesInUse).toHaveLength(1);
  // It was attached all the time.
  expect(attached()).toEqual([told]);
  world.csi.calls.length = 0;
  await volumes.unmount(pods[0]!);
  expect(world.csi.verbs()).toEqual(['NodeUnpublishVolume']);
  await volumes.unmount(pods[1]!);
  expect(world.csi.verbs().slice(1)).toEqual(['NodeUnpublishVolume', 'NodeUnstageVolume', 'ControllerUnpublishVolume']);
  expect(await volumes.mounts()).toEqual([]);
  expect(volumes.operations.map((words) => words.replace(/ kubernetes\.io\/csi(:\S+)?/, ''))).toEqual([
    ...['volume_attach', 'volume_mount_device', 'volume_mount', 'overall_volume_mount'],
    ...['volume_mount', 'overall_volume_mount'],
    // The agent began anew: it makes sure.
    ...['volume_attach', 'volume_mount_device', 'volume_mount', 'overall_volume_mount'],
    ...['volume_unmount', 'volume_unmount', 'unmount_device', 'volume_detach'],
  ]);
  const staging = csiStagingPath(volumes.root, name, record['volumeHandle'] ?? '');
  await expect(stat(join(staging, '..'))).rejects.toThrow('ENOENT');

  // As the agent does at its start, when it knows what pods are there: only then a volume may be deleted.
  await volumes.manager.removeUnused(volumes.signal);
  const again = podUsing('mine');
  await volumes.mount(again);
  expect(await readFile(join(await volumes.hostPath(again), 'f'), 'utf8')).toBe('shared');
  expect(attached()).toEqual([told, told]);
  volumes.objects.remove('PersistentVolumeClaim', 'default', 'mine');
  await volumes.unmount(again);
  expect(world.csi.verbs()).toContain('DeleteVolume');
});

test('a claim that goes after its last pod takes its volume with it, also while nobody else asks for anything', async () => {
  await using world = await CsiVolumeWorld.open(example);
  const { volumes } = world;
  world.claim('mine');
  const [first, second] = [podUsing('mine'), podUsing('mine')];
  for (const pod of [first, second]) await volumes.mount(pod);
  await volumes.manager.removeUnused(volumes.signal);
  await volumes.unmount(first);
  volumes.objects.remove('PersistentVolumeClaim', 'default', 'mine');
  expect(await readdir(await volumes.hostPath(second)), 'a pod still has it').toEqual([]);
  world.claim('mine');
  await volumes.unmount(second);
  expect(world.csi.verbs()).not.toContain('DeleteVolume');
  volumes.objects.remove('PersistentVolumeClaim', 'default', 'mine');
  await vi.waitFor(() => expect(world.csi.verbs()).toContain('DeleteVolume'), soon);
});

test('an inline volume lives with its pod; stats come from the driver', async () => {
  await using world = await CsiVolumeWorld.open(example);
  const { volumes } = world;
  const pod = podOf({ volumes: [{ name: 'scratch', csi: { driver: name } }] });
  await volumes.mount(pod);
  const path = await volumes.hostPath(pod);
  const publish = world.csi.calls.find(({ call }) => call.verb === 'NodePublishVolume')?.call.request;
  expect(publish).toMatchObject({ volumeContext: { 'csi.storage.k8s.io/ephemeral': 'true' } });
  expect(await readdir(join(path, '..'))).toEqual(expect.arrayContaining(['mount', 'vol_data.json']));
  const [usage] = await volumes.manager.usage(uidOf(pod), volumes.signal);
  expect(usage?.capacityBytes).toBeGreaterThan(0);
  await volumes.restart();
  await volumes.unmount(pod);
  expect(await readdir(volumes.folder(pod))).toEqual([]);
});

test('an inline volume of a driver without a CSIDriver object: it is told all the same; in a cluster it is refused', async () => {
  const pod = podOf({ volumes: [{ name: 'scratch', csi: { driver: name } }] });
  {
    await using world = await CsiVolumeWorld.open(example);
    world.volumes.objects.remove('CSIDriver', '', name);
    await world.volumes.mount(pod);
    const publish = world.csi.calls.find(({ call }) => call.verb === 'NodePublishVolume')?.call.request;
    expect(publish).toMatchObject({ volumeContext: { 'csi.storage.k8s.io/ephemeral': 'true' } });
    await world.volumes.unmount(pod);
  }
  await using world = await CsiVolumeWorld.open(example, [], {}, { standalone: false });
  world.volumes.objects.remove('CSIDriver', '', name);
  expect((await failureOf(world.volumes.mount(pod))).message).toBe(
    `MountVolume.SetUp failed for volume "scratch" : kubernetes.io/csi: volume mode "Ephemeral" not supported by driver ${name} (no CSIDriver object)`,
  );
  await world.volumes.unmount(pod);
});

test('a block volume is handed out as a link to its device', async () => {
  await using world = await CsiVolumeWorld.open(example);
  const { volumes } = world;
  world.claim('raw', { volumeMode: 'Block' });
  const pod = podOf({
    volumes: claimed('raw'),
    container: { volumeMounts: [], volumeDevices: [{ name: 'data', devicePath: '/dev/xvda' }] },
  });
  await volumes.mount(pod);
  const { devices } = await volumes.manager.forContainer(pod, firstContainer(pod), new Map(), volumes.signal);
  const link = volumes.folder(pod, 'volumeDevices/kubernetes.io~csi/pvc-uid-of-raw');
  expect(devices).toEqual([{ hostPath: link, containerPath: '/dev/xvda', permissions: 'mrw' }]);
  expect((await stat(link)).isBlockDevice()).toBe(true);
  expect(volumes.events).toEqual([
    `Normal SuccessfulMountVolume MapVolume.MapPodDevice succeeded for volume "pvc-uid-of-raw" volumeMapPath "${dirname(link)}"`,
  ]);
  expect(await volumes.manager.usage(uidOf(pod), volumes.signal)).toMatchObject([
    { volume: 'data', claim: { name: 'raw' }, capacityBytes: 16 * 1024 * 1024 },
  ]);
  await volumes.restart();
  await volumes.mount(pod);
  await volumes.unmount(pod);
  expect(await readdir(volumes.folder(pod))).toEqual([]);
  expect(await readdir(join(volumes.root, 'plugins/kubernetes.io/csi/volumeDevices'))).toEqual(['publish', 'staging']);
});

/** Claim `mine`, bound to volume `h` of the driver. */
function bindMine({ objects }: VolumeWorld): void {
  objects.put('PersistentVolumeClaim', {
    metadata: { name: 'mine', namespace: 'default', uid: 'c' },
    spec: { volumeName: 'pv' },
    status: { phase: 'Bound' },
  });
  objects.put('PersistentVolume', {
    metadata: { name: 'pv' },
    spec: { claimRef: { uid: 'c' }, accessModes: ['ReadWriteOnce'], csi: { driver: name, volumeHandle: 'h' } },
  });
}

test('in a cluster where the agent is to attach, a volume that needs it is refused by the name of the key', async () => {
  await using world = await CsiVolumeWorld.open(example, ['--attach']);
  const drivers = { csi: world.csi.drivers };
  await using cluster = await VolumeWorld.open({ standalone: false, attachesHere: true, drivers });
  bindMine(cluster);
  const pod = podUsing('mine');
  const error = await failureOf(cluster.mount(pod));
  expect(error.message).toMatch(/not supported: the volumes of \S+ need enableControllerAttachDetach: true$/);
  expect(error).toMatchObject({ failure: { code: 'refused' }, reason: 'FailedAttachVolume' });
  expect(world.csi.verbs()).not.toContain('ControllerPublishVolume');
  // Which drivers need none says the cluster: this one is asked to stage what nobody made.
  cluster.objects.put('CSIDriver', { metadata: { name }, spec: { attachRequired: false } });
  expect((await failureOf(cluster.mount(pod))).message).toMatch(/NodeStageVolume .* there is no volume h$/);
  expect(cluster.events).toEqual([]);
  await cluster.unmount(pod);
  expect(await cluster.mounts()).toEqual([]);
});

test('in a cluster a volume waits for its VolumeAttachment and says so', async () => {
  await using world = await CsiVolumeWorld.open(example, ['--attach']);
  await using cluster = await VolumeWorld.open({ standalone: false, drivers: { csi: world.csi.drivers } });
  const { objects } = cluster;
  bindMine(cluster);
  const pod = podUsing('mine');
  const { message } = await failureOf(cluster.mount(pod));
  expect(message).toMatch(/^MountVolume.WaitForAttach failed for volume "pv" .*has not begun to attach/);
  const attachment = /VolumeAttachment (csi-[0-9a-f]{64})/.exec(message)?.[1] ?? '';
  const woken: string[] = [];
  using _ = cluster.manager.onChange((uid) => woken.push(uid));
  const put = (status: VolumeAttachment['status']): void =>
    objects.put('VolumeAttachment', {
      metadata: { name: attachment },
      spec: { attacher: name, nodeName: 'here', source: { persistentVolumeName: 'pv' } },
      status,
    });
  put({ attached: false, attachError: { message: 'the rack is dark' } });
  expect((await failureOf(cluster.mount(pod))).message).toContain('the rack is dark');
  // The node is full, of which the driver may be asked to tell more: only such a pod is to go elsewhere.
  const full: VolumeAttachment['status'] = { attached: false, attachError: { message: 'no slot', errorCode: 8 } };
  const asked: string[] = [];
  const unlisten = world.csi.drivers.onNoRoom((driver) => asked.push(driver));
  put(full);
  expect(await failureOf(cluster.mount(pod))).toMatchObject({ failure: { code: 'unavailable' } });
  objects.put('CSIDriver', { metadata: { name }, spec: { nodeAllocatableUpdatePeriodSeconds: 600 } });
  expect(await failureOf(cluster.mount(pod))).toMatchObject({ failure: { code: 'no-room' } });
  expect(asked).toEqual([name]);
  unlisten();
  put({ attached: true });
  woken.length = 0;
  // A node may not watch attachments, but its own object, where the controller writes what is attached. Its heartbeats are no news.
  expect(woken).toEqual([]);
  const attached = { name: `kubernetes.io/csi/${name}^h`, devicePath: '' };
  objects.put('Node', { metadata: { name: 'here' }, status: { volumesAttached: [attached] } });
  await vi.waitUntil(() => woken.length > 0, soon);
  const { reads } = objects;
  objects.put('Node', { metadata: { name: 'here' }, status: { volumesAttached: [attached], conditions: [] } });
  await vi.waitUntil(() => objects.reads > reads, soon);
  expect(woken).toEqual([uidOf(pod)]);
  // Now the driver itself is asked, which knows no such volume.
  expect((await failureOf(cluster.mount(pod))).message).toContain('NodeStageVolume');
});

test('a generic ephemeral volume is made for its pod alone, and deleted with it', async () => {
  await using world = await CsiVolumeWorld.open(example, ['--attach']);
  const { volumes } = world;
  // As at the agent's start: from now on it is known which pods there are.
  await volumes.manager.removeUnused(volumes.signal);
  const spec = {
    storageClassName: 'folder',
    accessModes: ['ReadWriteOnce' as const],
    resources: { requests: { storage: '16Mi' } },
  };
  const pods = [0, 1].map(() =>
    podOf({ volumes: [{ name: 'scratch', ephemeral: { volumeClaimTemplate: { spec } } }] }),
  );
  for (const pod of pods) await volumes.mount(pod);
  const paths = await Promise.all(pods.map((pod) => volumes.hostPath(pod)));
  await writeFile(join(paths[0]!, 'f'), 'mine');
  expect(await readdir(paths[1]!)).toEqual([]);
  await volumes.restart();
  await volumes.manager.removeUnused(volumes.signal);
  for (const pod of pods) await volumes.mount(pod);
  expect(await readFile(join(paths[0]!, 'f'), 'utf8')).toBe('mine');
  expect(world.csi.verbs().filter((verb) => verb === 'DeleteVolume')).toEqual([]);
  await volumes.unmount(pods[0]!);
  expect(world.csi.verbs().filter((verb) => verb === 'DeleteVolume')).toHaveLength(1);
  await volumes.unmount(pods[1]!);
  expect(world.csi.verbs().slice(-2)).toEqual(['ControllerUnpublishVolume', 'DeleteVolume']);
});

test('the Secrets of a storage class go to the calls they are for, and nowhere else', async () => {
  await using world = await CsiVolumeWorld.open(example, ['--attach']);
  const { volumes } = world;
  const { objects } = volumes;
  const uses = ['provisioner', 'controller-publish', 'node-stage', 'node-publish', 'controller-expand', 'node-expand'];
  const parameters = uses.flatMap((use) => [
    [`csi.storage.k8s.io/${use}-secret-name`, use === 'node-publish' ? '${pvc.name}-${pv.name}' : `for-${use}`],
    [`csi.storage.k8s.io/${use}-secret-namespace`, '${pvc.namespace}'],
  ]);
  objects.put('StorageClass', {
    metadata: { name: 'guarded' },
    provisioner: name,
    allowVolumeExpansion: true,
    parameters: { kind: 'image', ...(Object.fromEntries(parameters) as Record<string, string>) },
  });
  for (const use of uses) objects.secret(`for-${use}`, { [use]: 'hidden' });
  objects.secret('mine-pvc-uid-of-mine', { 'node-publish': 'hidden' });
  objects.remove('Secret', 'default', 'for-node-publish');
  await volumes.manager.removeUnused(volumes.signal);
  world.claim('mine', { storageClassName: 'guarded' });
  const pod = podUsing('mine');
  await volumes.mount(pod);
  world.claim('mine', { storageClassName: 'guarded', resources: { requests: { storage: '32Mi' } } });
  await volumes.mount(pod);
  await volumes.restart();
  await volumes.manager.removeUnused(volumes.signal);
  objects.remove('PersistentVolumeClaim', 'default', 'mine');
  await volumes.unmount(pod);
  const given = world.csi.calls.map(({ call }): [string, string] => {
    const { secrets = {} } = (call.request ?? {}) as { secrets?: Record<string, string> };
    return [call.verb, Object.keys(secrets).join()];
  });
  expect(Object.fromEntries(given.filter(([, keys]) => keys !== ''))).toEqual({
    CreateVolume: 'provisioner',
    ControllerPublishVolume: 'controller-publish',
    NodeStageVolume: 'node-stage',
    NodePublishVolume: 'node-publish',
    ControllerExpandVolume: 'controller-expand',
    NodeExpandVolume: 'node-expand',
    ControllerUnpublishVolume: 'controller-publish',
    DeleteVolume: 'provisioner',
  });
  expect(JSON.stringify(world.csi.calls)).not.toContain('hidden');

  // One that is not there is said, by the name it was worked out to.
  world.claim('other', { storageClassName: 'guarded' });
  const other = podUsing('other');
  expect((await failureOf(volumes.mount(other))).message).toContain('secret "other-pvc-uid-of-other" not found');
});

test('a driver that asks for it is told again, with tokens among the secrets where it wants them there', async () => {
  await using world = await CsiVolumeWorld.open(example, [], {
    requiresRepublish: true,
    tokenRequests: [{ audience: 'vault' }],
    serviceAccountTokenInSecrets: true,
  });
  const { volumes } = world;
  const pod = podOf({ volumes: [{ name: 'scratch', csi: { driver: name } }] });
  await volumes.mount(pod);
  await volumes.mount(pod);
  const publishes = world.csi.calls.filter(({ call }) => call.verb === 'NodePublishVolume');
  expect(publishes).toHaveLength(2);
  const key = 'csi.storage.k8s.io/serviceAccount.tokens';
  for (const { call, outcome } of publishes) {
    expect(outcome?.error).toBeUndefined();
    expect(call.request).toMatchObject({ secrets: { [key]: expect.any(String) as unknown } });
    expect(call.request).not.toHaveProperty(['volumeContext', key]);
  }
  expect(volumes.objects.tokens).toMatchObject([{ spec: { audiences: ['vault'] } }]);
  expect(JSON.stringify(world.csi.calls)).not.toContain('token-1');
});
