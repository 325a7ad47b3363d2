import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { errorText } from '../../../../base/errors.js';
import type { Pod } from '../../../../agent/api/index.js';
import { csiStagingPath } from '../../../../csi/index.js';
import { BuiltExample } from '../../../csi/build-example.js';
import { CsiWorld, loopsUnder } from '../../../csi/csi-world.js';
import { ExampleDriver } from '../../../csi/example-driver.js';
import type { Fault } from '../../../../csi/driver/examples/faults.js';
import { claimed, CsiVolumeWorld, name, podUsing } from './csi-volume-world.js';
import { failureOf, firstContainer, podOf, uidOf } from '../volume-world.js';

const soon = { timeout: 60_000 };

let example: BuiltExample;
beforeAll(async () => {
  example = await BuiltExample.build();
});
afterAll(async () => await example[Symbol.asyncDispose]());

const noSuchVolume: Fault = { action: 'fail', when: 'before', code: 5, message: 'no such volume' };
const notNow = (when: Fault['when']): Fault => ({ action: 'fail', when, code: 14, message: 'lost', times: 1 });

const undoing = /Unpublish|Unstage/;
const undone = (world: CsiVolumeWorld): string[] => world.csi.verbs().filter((verb) => undoing.test(verb));

/** As of a driver that was never told of the volume, which is what many say. */
const refuses = (...calls: string[]): Record<string, Fault> => {
  const undos = ['NodeUnstageVolume', 'NodeUnpublishVolume', 'ControllerUnpublishVolume'];
  return Object.fromEntries([...undos, ...calls].map((call) => [call, noSuchVolume]));
};

test.each([
  ['ControllerPublishVolume', ['--attach']],
  ['NodeStageVolume', []],
  ['NodePublishVolume', ['--no-stage']],
])('a pod whose volume %s refuses for good is let go, and its driver is not asked to undo it', async (call, flags) => {
  await using world = await CsiVolumeWorld.open(example, flags);
  const { volumes } = world;
  for (const volumeMode of ['Filesystem', 'Block'] as const) {
    world.claim(volumeMode.toLowerCase(), { volumeMode });
    const pod = podUsing(volumeMode.toLowerCase());
    if (volumeMode === 'Block') asDevice(pod);
    await world.driver.break(refuses(call));
    for (let attempt = 0; attempt < 2; attempt++)
      expect((await failureOf(volumes.mount(pod))).message).toContain('no such volume');
    await volumes.unmount(pod);
    expect(undone(world)).toEqual([]);
    expect(await readdir(volumes.folder(pod))).toEqual([]);
    await world.driver.mend();
    // It was not the volume's end: the next pod has it.
    await volumes.mount(pod);
    await volumes.unmount(pod);
    expect(undone(world).length).toBeGreaterThan(0);
    world.csi.calls.length = 0;
  }
  expect(volumes.manager.volumesInUse).toEqual([]);
});

function asDevice(pod: Pod): Pod {
  const [container] = pod.spec?.containers ?? [];
  Object.assign(container ?? {}, { volumeMounts: [], volumeDevices: [{ name: 'data', devicePath: '/dev/xvda' }] });
  return pod;
}

test('an answer that was lost, a driver that dies in the call, a driver that is away', async () => {
  await using world = await CsiVolumeWorld.open(example);
  const { volumes } = world;
  world.claim('mine');
  const pod = podUsing('mine');
  await world.driver.break({
    NodePublishVolume: { action: 'fail', when: 'after', code: 14, message: 'lost', times: 1 },
  });
  expect((await failureOf(volumes.mount(pod))).message).toMatch(
    /^MountVolume.SetUp failed for volume "data" : kubernetes.io\/csi: .*NodePublishVolume.*lost/,
  );
  await volumes.mount(pod);
  await volumes.unmount(pod);

  // It was mounted all the same: a pod that ends now still gets it unmounted.
  await world.driver.break({
    NodePublishVolume: { action: 'fail', when: 'after', code: 14, message: 'lost', times: 1 },
  });
  const ending = podUsing('mine');
  await failureOf(volumes.mount(ending));
  await volumes.unmount(ending);
  expect(await volumes.mounts()).toEqual([]);

  await world.driver.break({ NodeStageVolume: { action: 'exit', when: 'after', times: 1 } });
  const struck = podUsing('mine');
  await failureOf(volumes.mount(struck));
  await world.driver.ended();
  const woken: string[] = [];
  using _ = volumes.manager.onChange((uid) => woken.push(uid));
  await world.restartDriver();
  // Its registration is what wakes the pod.
  await vi.waitUntil(() => woken.includes(uidOf(struck)), soon);
  await vi.waitUntil(
    () =>
      volumes
        .mount(struck)
        .then(() => true)
        .catch(() => false),
    soon,
  );
  await volumes.unmount(struck);
});

test('a corrupt vol_data.json is worked out anew', async () => {
  await using world = await CsiVolumeWorld.open(example);
  const { volumes } = world;
  world.claim('mine');
  const pod = podUsing('mine');
  await volumes.mount(pod);
  const path = await volumes.hostPath(pod);
  await writeFile(join(path, '../vol_data.json'), '{"driverName":');
  await volumes.restart();
  await volumes.unmount(pod);
  expect(await volumes.mounts()).toEqual([]);
});

test('a publish that is refused is not undone, the stage before it is', async () => {
  await using world = await CsiVolumeWorld.open(example, ['--attach']);
  const { volumes } = world;
  world.claim('mine');
  const pod = podUsing('mine');
  await world.driver.break({ NodePublishVolume: noSuchVolume, NodeUnpublishVolume: noSuchVolume });
  await failureOf(volumes.mount(pod));
  await volumes.unmount(pod);
  expect(undone(world)).toEqual(['NodeUnstageVolume', 'ControllerUnpublishVolume']);
  expect(await volumes.mounts()).toEqual([]);
});

test('a device that was handed out though nobody heard so is taken back, by the next run too', async () => {
  await using world = await CsiVolumeWorld.open(example, ['--attach']);
  const { volumes } = world;
  const held = (): Promise<string[]> => loopsUnder(dirname(world.driver.socket));
  world.claim('raw', { volumeMode: 'Block', storageClassName: 'image' });
  for (const again of ['same run', 'next run']) {
    const pod = asDevice(podUsing('raw'));
    await world.driver.break({ NodePublishVolume: notNow('after') });
    await failureOf(volumes.mount(pod));
    expect(await held()).toHaveLength(1);
    if (again === 'next run') await volumes.restart();
    world.csi.calls.length = 0;
    // What fails on the way is asked for again.
    await world.driver.break({ NodeUnpublishVolume: notNow('before') });
    expect((await failureOf(volumes.unmount(pod))).message).toContain('lost');
    expect(volumes.manager.isPresent(uidOf(pod))).toBe(true);
    await volumes.unmount(pod);
    expect(undone(world)).toEqual([
      ...['NodeUnpublishVolume', 'NodeUnpublishVolume'],
      ...['NodeUnstageVolume', 'ControllerUnpublishVolume'],
    ]);
    expect(await held()).toEqual([]);
    expect(await volumes.mounts()).toEqual([]);
  }
});

test('the record of a staged volume is worked out anew, with its pod and without', async () => {
  await using world = await CsiVolumeWorld.open(example, ['--attach']);
  const { volumes } = world;
  const { objects } = volumes;
  world.claim('mine');
  const pod = podUsing('mine');
  await volumes.mount(pod);
  const stagingOf = async (): Promise<string> => {
    const record = await readFile(join(await volumes.hostPath(pod), '../vol_data.json'), 'utf8');
    const { volumeHandle } = JSON.parse(record) as { volumeHandle: string };
    return csiStagingPath(volumes.root, name, volumeHandle);
  };
  const staging = await stagingOf();
  await writeFile(join(staging, '../vol_data.json'), '{');
  await volumes.restart();
  expect(volumes.manager.volumesInUse).toHaveLength(1);
  await volumes.unmount(pod);
  expect(undone(world)).toEqual(['NodeUnpublishVolume', 'NodeUnstageVolume', 'ControllerUnpublishVolume']);
  expect(await readdir(dirname(dirname(staging)))).toEqual([]);

  // The pod went while the agent was dead; a PersistentVolume that somebody wrote tells.
  const handle = world.csi.calls.find(({ call }) => call.verb === 'NodeStageVolume')?.call.request as {
    volumeId: string;
  };
  objects.put('PersistentVolume', {
    metadata: { name: 'written' },
    spec: { accessModes: ['ReadWriteOnce'], csi: { driver: name, volumeHandle: handle.volumeId } },
  });
  await volumes.mount(pod);
  await world.driver.break({ NodeUnstageVolume: notNow('before') });
  await failureOf(volumes.unmount(pod));
  await writeFile(join(staging, '../vol_data.json'), '');
  await volumes.restart();
  await volumes.manager.removeUnused(volumes.signal);
  expect(await volumes.mounts()).toEqual([]);
  expect(await readdir(dirname(dirname(staging)))).toEqual([]);
});

test('what an earlier run left staged is undone as soon as the driver lets it be, without any pod that comes for it', async () => {
  await using world = await CsiVolumeWorld.open(example, ['--attach']);
  const { volumes } = world;
  world.claim('mine');
  const pod = podUsing('mine');
  await volumes.mount(pod);
  await world.driver.break({ NodeUnstageVolume: { ...notNow('before'), times: 3 } });
  await failureOf(volumes.unmount(pod));
  // The pod is not there any more when the next run begins.
  await volumes.restart();
  expect(volumes.manager.volumesInUse).toHaveLength(1);
  await failureOf(volumes.manager.removeUnused(volumes.signal));
  await vi.waitFor(() => expect(volumes.manager.volumesInUse).toEqual([]), { timeout: 60_000 });
  expect(await volumes.mounts()).toEqual([]);
  expect(undone(world).filter((verb) => verb === 'NodeUnstageVolume')).toHaveLength(4);
});

test('a volume that is busy is said to be, stays whole, and goes when it is free', async () => {
  await using world = await CsiVolumeWorld.open(example);
  const { volumes } = world;
  world.claim('mine');
  const pod = podUsing('mine');
  await volumes.mount(pod);
  const path = await volumes.hostPath(pod);
  await writeFile(join(path, 'f'), 'still here');
  const holder = spawn('sleep', ['60'], { cwd: path, stdio: 'ignore' });
  await once(holder, 'spawn');
  const busy = await failureOf(volumes.unmount(pod));
  expect(busy.message).toMatch(/^UnmountVolume.TearDown failed .*NodeUnpublishVolume.*busy/s);
  expect(await readFile(join(path, 'f'), 'utf8')).toBe('still here');
  // Nothing above it is undone meanwhile.
  expect(undone(world)).not.toContain('NodeUnstageVolume');
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  await volumes.unmount(pod);
  const next = podUsing('mine');
  await volumes.mount(next);
  expect(await readFile(join(await volumes.hostPath(next), 'f'), 'utf8')).toBe('still here');
});

test('links that a container planted in its volume lead nobody out of it', async () => {
  await using world = await CsiVolumeWorld.open(example, [], { fsGroupPolicy: 'File' });
  const { volumes } = world;
  const outside = join(volumes.root, 'outside');
  await mkdir(outside);
  await writeFile(join(outside, 'user-file'), 'precious', { mode: 0o600 });
  world.claim('mine');
  const plain = podUsing('mine');
  await volumes.mount(plain);
  const path = await volumes.hostPath(plain);
  await symlink(outside, join(path, 'folder'));
  await symlink(join(outside, 'user-file'), join(path, 'file'));
  await volumes.unmount(plain);

  const pod = podOf({
    volumes: claimed('mine'),
    pod: { securityContext: { fsGroup: 3000 } },
    container: { volumeMounts: [{ name: 'data', mountPath: '/d', subPath: 'folder' }] },
  });
  await volumes.mount(pod);
  const refused = await failureOf(volumes.hostPath(pod));
  expect(errorText(refused)).toContain('the path leads out of the volume');
  await volumes.unmount(pod);
  expect(await readFile(join(outside, 'user-file'), 'utf8')).toBe('precious');
  expect(await stat(join(outside, 'user-file'))).toMatchObject({ gid: 0, mode: 0o100600 });
  expect(await stat(outside)).toMatchObject({ gid: 0 });
});

test('a driver is taken for what it says it is, at a place that can be reached', async () => {
  await using world = await CsiWorld.open();
  const { signal } = new AbortController();
  const deep = join(world.root, 'd'.repeat(100));
  await mkdir(deep);
  const unreachable = await failureOf(world.drivers.connect('deep.csi.example.com', join(deep, 'csi.sock'), signal));
  expect(unreachable.message).toContain('is longer than the 107 bytes a unix socket address can hold');
  await using driver = new ExampleDriver({ main: example.main, name, nodeId: 'here', folder: world.root });
  await driver.start();
  const other = await failureOf(world.drivers.connect('other.csi.example.com', driver.socket, signal));
  expect(other.message).toContain(`it calls itself "${name}"`);
});

test('a Secret is refused by name when it is no text, and is not seen when a driver echoes it', async () => {
  await using world = await CsiVolumeWorld.open(example);
  const { volumes } = world;
  const raw = Buffer.from([0xff, 0xfe, 0x00]).toString('base64');
  volumes.objects.put('Secret', { metadata: { namespace: 'default', name: 'keys' }, data: { raw } });
  const pod = podOf({ volumes: [{ name: 'scratch', csi: { driver: name, nodePublishSecretRef: { name: 'keys' } } }] });
  const { message } = await failureOf(volumes.mount(pod));
  expect(message).toContain('secret "keys": the value of "raw" is not UTF-8 text');

  volumes.objects.secret('keys', { password: 'open-sesame' });
  const words = 'login with open-sesame failed';
  await world.driver.break({ NodePublishVolume: { action: 'fail', when: 'before', code: 16, message: words } });
  const error = await failureOf(volumes.mount(pod));
  expect(error.message).toContain('login with *** failed');
  expect(errorText(error)).not.toContain('sesame');
  expect(JSON.stringify(world.csi.calls)).not.toContain('sesame');
  await volumes.unmount(pod);
});

test.each([
  ['with SELinux', 'system_u:object_r:container_file_t:s0', 'system_u:object_r:container_file_t:s0:c15,c25'],
  ['without SELinux', undefined, undefined],
])(
  '%s: what a ReadWriteOncePod volume is mounted with, and what is left to the runtime',
  async (_what, fileContext, label) => {
    const seLinux = fileContext === undefined ? {} : { seLinuxFileContext: fileContext };
    await using world = await CsiVolumeWorld.open(example, [], { seLinuxMount: true }, seLinux);
    const { volumes } = world;
    world.claim('once', { accessModes: ['ReadWriteOncePod'] });
    world.claim('shared');
    const pod = podOf({
      volumes: [
        { name: 'once', persistentVolumeClaim: { claimName: 'once' } },
        { name: 'shared', persistentVolumeClaim: { claimName: 'shared' } },
        { name: 'own', emptyDir: {} },
        { name: 'host', hostPath: { path: volumes.root } },
      ],
      pod: { securityContext: { seLinuxOptions: { level: 's0:c15,c25' } } },
    });
    await volumes.mount(pod);
    const flags = world.csi.calls
      .filter(({ call }) => /Node(Stage|Publish)/.test(call.verb))
      .map(({ call }) => (call.request as { volumeCapability: { mount: { mountFlags: string[] } } }).volumeCapability)
      .map(({ mount }) => mount.mountFlags);
    const option = label === undefined ? [] : [`context="${label}"`];
    expect(flags).toHaveLength(4);
    expect(flags.filter((one) => one.length > 0)).toEqual(label === undefined ? [] : [option, option]);
    const record = await readFile(join(await volumes.hostPath(pod), '../vol_data.json'), 'utf8');
    expect((JSON.parse(record) as { seLinuxMountContext?: string }).seLinuxMountContext).toBe(label);
    const { mounts } = await volumes.manager.forContainer(pod, firstContainer(pod), new Map(), volumes.signal);
    // A file system without labels of its own, as this machine's, is not relabelled either.
    expect(mounts.map(({ selinuxRelabel = false }) => selinuxRelabel)).toEqual([
      false,
      false,
      label !== undefined,
      false,
    ]);
  },
);

test('a driver is told nothing that it did not say it can be told', async () => {
  await using world = await CsiVolumeWorld.open(example, ['--attach']);
  const { volumes } = world;
  world.claim('made', { accessModes: ['ReadWriteOncePod'] });
  const pod = podUsing('made');
  await volumes.mount(pod);
  await volumes.unmount(pod);
  const requestOf = (wanted: string): Record<string, unknown> =>
    world.csi.calls.findLast(({ call }) => call.verb === wanted)?.call.request as Record<string, unknown>;
  // It has no VOLUME_ACCESSIBILITY_CONSTRAINTS, though it names a topology.
  expect(requestOf('CreateVolume')).not.toHaveProperty('accessibilityRequirements');
  expect(requestOf('CreateVolume')).toMatchObject({
    volumeCapabilities: [{ accessMode: { mode: 'SINGLE_NODE_SINGLE_WRITER' } }],
  });
  const { volumeId } = requestOf('ControllerPublishVolume') as { volumeId: string };
  volumes.objects.put('PersistentVolume', {
    metadata: { name: 'still' },
    spec: {
      accessModes: ['ReadWriteOnce'],
      capacity: { storage: '16Mi' },
      claimRef: { namespace: 'default', name: 'read' },
      csi: { driver: name, volumeHandle: volumeId, readOnly: true },
    },
  });
  world.claim('read', { storageClassName: '', volumeName: 'still' });
  const reader = podUsing('read');
  await volumes.mount(reader);
  // It has no PUBLISH_READONLY.
  expect(requestOf('ControllerPublishVolume')).toMatchObject({ readonly: false });
  expect(requestOf('NodePublishVolume')).toMatchObject({ readonly: true });
});
