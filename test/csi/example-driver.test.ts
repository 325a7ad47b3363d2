import { access, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import {
  CsiError,
  csiPublishPath,
  decideFsGroup,
  ephemeralHandle,
  isInUse,
  publishVolumeContext,
  readVolumeData,
  recoverVolumeData,
  removeVolumeFolder,
  volumeCapability,
  type CsiDriver,
} from '../../csi/index.js';
import { BuiltExample } from './build-example.js';
import { CsiWorld, loopsUnder, mountsUnder } from './csi-world.js';
import { ExampleDriver } from './example-driver.js';
import { VolumeLife, liveThrough } from './volume-life.js';

const megabyte = 1024 * 1024;
const name = 'folder.csi.example.com';
const files = { accessMode: 'ReadWriteOnce', volumeMode: 'Filesystem' } as const;
const { signal } = new AbortController();

let built: BuiltExample;
beforeAll(async () => {
  built = await BuiltExample.build();
});
afterAll(async () => {
  await built[Symbol.asyncDispose]();
});

const soon = { timeout: 60_000 };

async function startDriver(world: CsiWorld, flags: readonly string[] = []): Promise<ExampleDriver> {
  const folder = join(world.root, 'example');
  await mkdir(folder, { recursive: true });
  const example = new ExampleDriver({
    main: built.main,
    name,
    nodeId: 'node-1',
    folder,
    registry: world.registry,
    flags,
  });
  await example.start();
  return example;
}

async function ready(world: CsiWorld): Promise<CsiDriver> {
  return await world.drivers.whenReady(name, AbortSignal.timeout(60_000));
}

async function failureOf(promise: Promise<unknown>): Promise<CsiError> {
  const err = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(err instanceof CsiError)) throw new Error(`expected a CsiError, got ${String(err)}`);
  return err;
}

test('registers by itself and says what it is', async () => {
  await using world = await CsiWorld.open();
  await using _example = await startDriver(world, ['--max-volumes', '7', '--attach']);
  const driver = await ready(world);
  expect(driver.nodeInfo).toEqual({
    nodeId: 'node-1',
    maxVolumes: 7,
    topology: { [`topology.${name}/node`]: 'node-1' },
  });
  expect([...driver.capabilities.node]).toContain('STAGE_UNSTAGE_VOLUME');
  expect([...driver.capabilities.controller]).toContain('PUBLISH_UNPUBLISH_VOLUME');
  expect(driver.capabilities.volumeExpansion).toBe('ONLINE');
  await vi.waitFor(
    () =>
      expect(world.watcher.list()).toMatchObject([
        { state: { kind: 'registered', plugin: { name, type: 'CSIPlugin' } } },
      ]),
    soon,
  );
});

test.each([
  ['a folder', files, {}, []],
  ['a disk image with a file system', { ...files, fsType: 'ext4' }, { kind: 'image' }, ['--attach']],
  ['a block device', { accessMode: 'ReadWriteOncePod', volumeMode: 'Block' }, {}, ['--attach']],
  ['a folder, without stage', files, {}, ['--no-stage']],
  ['a block device, without stage', { accessMode: 'ReadWriteOnce', volumeMode: 'Block' }, {}, ['--no-stage']],
] as const)('the whole life of a volume: %s', async (_what, use, parameters, flags) => {
  await using world = await CsiWorld.open();
  await using _example = await startDriver(world, flags);
  const life = new VolumeLife({ driver: await ready(world), root: world.root, name: 'pv-1', use });
  await liveThrough(life, 16 * megabyte, parameters);
  expect(await loopsUnder(world.root)).toEqual([]);
});

test('a read-only publish cannot be written to', async () => {
  await using world = await CsiWorld.open();
  await using _example = await startDriver(world);
  const life = new VolumeLife({ driver: await ready(world), root: world.root, name: 'pv-1', use: files });
  await life.create(megabyte, {}, signal);
  await life.stage(signal);
  const path = await life.publish('pod-1', signal, true);
  await expect(writeFile(join(path, 'x'), '')).rejects.toThrow('EROFS');
  await life.unpublish('pod-1', signal);
  await life.unstage(signal);
});

test('an inline volume is told its pod and its tokens, and goes with the pod', async () => {
  await using world = await CsiWorld.open();
  await using _example = await startDriver(world, ['--no-controller']);
  const driver = await ready(world);
  expect(driver.capabilities.controller.size).toBe(0);
  const volumeId = ephemeralHandle('pod-1', 'scratch');
  const targetPath = csiPublishPath(world.root, 'pod-1', 'scratch');
  await mkdir(dirname(targetPath), { recursive: true });
  const { volumeContext, secrets } = publishVolumeContext({
    attributes: { size: '1Mi' },
    secrets: { key: 'a very secret key' },
    pod: { name: 'web', namespace: 'shop', uid: 'pod-1', serviceAccountName: 'default' },
    inline: true,
    tokens: { vault: { token: 'eyJhbGciOi', expirationTimestamp: '2026-01-01T00:00:00Z' } },
    tokensInSecrets: false,
  });
  await driver.node.publish(
    {
      volumeId,
      stagingPath: undefined,
      targetPath,
      capability: volumeCapability(files, driver.capabilities.node),
      readOnly: false,
      publishContext: {},
      volumeContext,
      secrets,
    },
    { podUid: 'pod-1' },
    signal,
  );
  await writeFile(join(targetPath, 'x'), 'y');
  await driver.node.unpublish(volumeId, targetPath, { podUid: 'pod-1' }, signal);
  expect(await readdir(join(world.root, 'example', 'volumes'))).toEqual([]);
  expect(await removeVolumeFolder(targetPath)).toEqual({ kind: 'removed' });
  const records = JSON.stringify(world.calls);
  expect(records).toContain('csi.storage.k8s.io/pod.name');
  expect(records).not.toContain('a very secret key');
  expect(records).not.toContain('eyJhbGciOi');
});

test('expansion: the image grows at once, its file system now or with the next stage', async () => {
  await using world = await CsiWorld.open();
  await using _example = await startDriver(world);
  const driver = await ready(world);
  const life = new VolumeLife({ driver, root: world.root, name: 'pv-1', use: { ...files, fsType: 'ext4' } });
  await life.create(16 * megabyte, { kind: 'image' }, signal);
  await life.stage(signal);
  const path = await life.publish('pod-1', signal);
  const request = { volumeId: life.volumeId, requiredBytes: 48 * megabyte, capability: life.capability, secrets: {} };
  expect(await driver.controller.expand(request, {}, signal)).toEqual({
    capacityBytes: 48 * megabyte,
    nodeExpansionRequired: true,
  });
  const online = await driver.node
    .expand({ ...request, volumePath: path, stagingPath: life.stagingPath }, {}, signal)
    .catch((err: unknown) => {
      // Growing a mounted ext4 needs CAP_SYS_RESOURCE, which not every machine gives its root.
      expect(String(err)).toContain('Permission denied to resize filesystem');
      return undefined;
    });
  await life.unpublish('pod-1', signal);
  await life.unstage(signal);
  await life.stage(signal);
  await life.publish('pod-1', signal);
  const stats = await driver.node.stats(
    { volumeId: life.volumeId, volumePath: path, stagingPath: undefined },
    {},
    signal,
  );
  expect(stats.bytes?.total).toBeGreaterThan(40 * megabyte);
  if (online === undefined)
    process.stderr.write('SKIPPED: online expansion is not possible on this machine, only offline was tested\n');
  await life.unpublish('pod-1', signal);
  await life.unstage(signal);
  const tooLarge = driver.controller.expand({ ...request, requiredBytes: 2 ** 40 }, {}, signal);
  expect((await failureOf(tooLarge)).failure).toMatchObject({ code: 'out-of-range', certainty: 'final' });
});

test('a driver with VOLUME_MOUNT_GROUP sets the group itself', async () => {
  await using world = await CsiWorld.open();
  await using _example = await startDriver(world, ['--mount-group']);
  const driver = await ready(world);
  const decision = decideFsGroup({
    fsGroup: 4321,
    readOnly: false,
    policy: 'File',
    driverApplies: driver.capabilities.node.has('VOLUME_MOUNT_GROUP'),
    fsType: '',
    accessModes: ['ReadWriteOnce'],
    inline: false,
  });
  if (decision.by !== 'driver') throw new Error('expected the driver to apply the group');
  const use = { ...files, volumeMountGroup: decision.volumeMountGroup };
  const life = new VolumeLife({ driver, root: world.root, name: 'pv-1', use });
  await life.create(megabyte, {}, signal);
  await life.stage(signal);
  const path = await life.publish('pod-1', signal);
  expect((await stat(path)).gid).toBe(4321);
  await life.unpublish('pod-1', signal);
  await life.unstage(signal);
});

test('the driver dies during stage: uncertain, it registers again by itself, and the same call succeeds', async () => {
  await using world = await CsiWorld.open();
  await using example = await startDriver(world);
  const life = new VolumeLife({ driver: await ready(world), root: world.root, name: 'pv-1', use: files });
  await life.create(megabyte, {}, signal);
  await example.break({ NodeStageVolume: { action: 'exit', when: 'after', times: 1 } });
  const err = await failureOf(life.stage(signal));
  expect(err.failure).toMatchObject({ rpc: 'NodeStageVolume', driver: name, certainty: 'uncertain' });
  expect(await mountsUnder(world.root)).toEqual([life.stagingPath]);
  await example.ended();
  const states: string[] = [];
  world.drivers.onChange((info) => states.push(info.state.kind));
  await example.start();
  await vi.waitFor(() => expect(states.at(-1)).toBe('ready'), soon);
  expect(states.slice(0, 2)).toEqual(['gone', 'registering']);
  const again = new VolumeLife({ driver: await ready(world), root: world.root, name: 'pv-1', use: files });
  again.volumeId = life.volumeId;
  await again.stage(signal);
  await again.publish('pod-1', signal);
  await again.unpublish('pod-1', signal);
  await again.unstage(signal);
});

test.each([
  ['Unavailable', { action: 'fail', when: 'after', code: 14, times: 1 }, 'unavailable'],
  ['DeadlineExceeded by the driver', { action: 'fail', when: 'after', code: 4, times: 1 }, 'deadline-exceeded'],
  ['a hang until our deadline', { action: 'hang', when: 'after', times: 1 }, 'deadline-exceeded'],
  ['Aborted', { action: 'fail', when: 'after', code: 10, times: 1 }, 'aborted'],
] as const)(
  'publish answers %s and the mount exists anyway: uncertain, and unpublish undoes it',
  async (_what, fault, code) => {
    await using world = await CsiWorld.open({ callTimeoutMs: fault.action === 'hang' ? 4000 : 60_000 });
    await using example = await startDriver(world);
    const life = new VolumeLife({ driver: await ready(world), root: world.root, name: 'pv-1', use: files });
    await life.create(megabyte, {}, signal);
    await life.stage(signal);
    await example.break({ NodePublishVolume: fault });
    const err = await failureOf(life.publish('pod-1', signal));
    expect(err.failure).toMatchObject({ code, certainty: 'uncertain', rpc: 'NodePublishVolume' });
    expect(await mountsUnder(world.root)).toContain(life.publishPath('pod-1'));
    await life.unpublish('pod-1', signal);
    await life.unstage(signal);
  },
);

test('a final error: nothing was done', async () => {
  await using world = await CsiWorld.open();
  await using example = await startDriver(world);
  const life = new VolumeLife({
    driver: await ready(world),
    root: world.root,
    name: 'pv-1',
    use: files,
    secrets: { password: 'open sesame' },
  });
  await life.create(megabyte, {}, signal);
  await example.break({
    NodeStageVolume: { action: 'fail', when: 'before', code: 9, message: 'wrong password open sesame' },
  });
  const err = await failureOf(life.stage(signal));
  expect(err.failure).toMatchObject({ code: 'failed-precondition', certainty: 'final' });
  expect(err.message).toBe(`call NodeStageVolume of CSI driver ${name}: failed-precondition: wrong password ***`);
  expect(isInUse(err)).toBe(true);
  expect(JSON.stringify(world.calls)).not.toContain('open sesame');
  expect(await mountsUnder(world.root)).toEqual([]);
  await example.mend();
  life.volumeId = 'vol-of-somebody-else';
  expect((await failureOf(life.stage(signal))).failure).toMatchObject({ code: 'not-found', certainty: 'final' });
});

test('a stage that fails half way leaves no device: nobody asks to unstage what was refused', async () => {
  await using world = await CsiWorld.open();
  await using _example = await startDriver(world);
  const driver = await ready(world);
  const life = new VolumeLife({ driver, root: world.root, name: 'pv-1', use: { ...files, fsType: 'nosuchfs' } });
  await life.create(megabyte, { kind: 'image' }, signal);
  const { failure } = await failureOf(life.stage(signal));
  expect(failure).toMatchObject({ code: 'internal', certainty: 'final' });
  expect(await loopsUnder(world.root)).toEqual([]);
});

test('two operations on one volume at once: the second one is told to come back', async () => {
  await using world = await CsiWorld.open();
  await using _example = await startDriver(world);
  const life = new VolumeLife({
    driver: await ready(world),
    root: world.root,
    name: 'pv-1',
    use: { ...files, fsType: 'ext4' },
  });
  await life.create(64 * megabyte, { kind: 'image' }, signal);
  await life.recordStage();
  const outcomes = await Promise.allSettled([life.callStage(signal), life.callStage(signal)]);
  const failed = outcomes.filter((outcome) => outcome.status === 'rejected');
  expect(failed).toMatchObject([{ reason: { failure: { code: 'aborted', certainty: 'uncertain' } } }]);
  await life.unstage(signal);
});

test('a call is given up with the reason of its signal', async () => {
  await using world = await CsiWorld.open();
  await using example = await startDriver(world);
  const life = new VolumeLife({ driver: await ready(world), root: world.root, name: 'pv-1', use: files });
  await life.create(megabyte, {}, signal);
  await example.break({ NodeStageVolume: { action: 'hang', when: 'before' } });
  const controller = new AbortController();
  const staging = life.stage(controller.signal).catch((err: unknown) => err);
  await vi.waitFor(() => expect(world.verbs()).toContain('NodeStageVolume'), soon);
  controller.abort(new Error('the pod is gone'));
  expect(String(await staging)).toContain('the pod is gone');
  expect(world.calls.at(-1)?.outcome).toEqual({ error: { code: 'cancelled', message: 'given up' } });
});

test('a driver that ends well takes its sockets away: gone, and ready again when it comes back', async () => {
  await using world = await CsiWorld.open();
  await using example = await startDriver(world);
  await ready(world);
  await vi.waitFor(() => expect(world.watcher.list()).toMatchObject([{ state: { kind: 'registered' } }]), soon);
  await example.stop('SIGTERM');
  await vi.waitFor(() => expect(world.drivers.info(name)?.state.kind).toBe('gone'), soon);
  expect(() => world.drivers.get(name)).toThrow('it is gone since');
  await vi.waitFor(() => expect(world.watcher.list()).toEqual([]), soon);
  await example.start();
  await ready(world);
});

test('NodeGetInfo is tried until the driver is up', async () => {
  await using world = await CsiWorld.open();
  const folder = join(world.root, 'example');
  await mkdir(folder);
  await using example = new ExampleDriver({ main: built.main, name, nodeId: 'n', folder, registry: world.registry });
  await example.break({ NodeGetInfo: { action: 'fail', when: 'before', code: 14, times: 3 } });
  await example.start();
  await ready(world);
  expect(world.verbs().filter((verb) => verb === 'NodeGetInfo').length).toBe(4);
});

test('a driver that cannot tell who it is: refused with its words, and tried again', async () => {
  await using world = await CsiWorld.open();
  const folder = join(world.root, 'example');
  await mkdir(folder);
  await using example = new ExampleDriver({ main: built.main, name, nodeId: 'n', folder, registry: world.registry });
  await example.break({ NodeGetInfo: { action: 'fail', when: 'before', code: 13, message: 'no hardware here' } });
  await example.start();
  await vi.waitFor(
    () =>
      expect(world.watcher.list()).toMatchObject([
        { state: { kind: 'failed', code: 'refused', reason: expect.stringContaining('no hardware here') as unknown } },
      ]),
    soon,
  );
  expect(world.drivers.info(name)).toMatchObject({ state: { kind: 'failed' } });
  expect(() => world.drivers.get(name)).toThrow('no hardware here');
  await example.mend();
  await ready(world);
});

test('a corrupt vol_data.json is set aside, and what it said is found again', async () => {
  await using world = await CsiWorld.open();
  await using _example = await startDriver(world);
  const driver = await ready(world);
  const life = new VolumeLife({ driver, root: world.root, name: 'pv-1', use: { ...files, fsType: 'ext4' } });
  await life.create(16 * megabyte, { kind: 'image' }, signal);
  await life.stage(signal);
  const path = await life.publish('pod-1', signal);
  const folder = dirname(path);
  await writeFile(join(folder, 'vol_data.json'), '{"driverName":"fold');
  const read = await readVolumeData(folder);
  if (read.kind !== 'set-aside') throw new Error(`expected set-aside, got ${read.kind}`);
  await access(read.movedTo);
  expect((await readVolumeData(folder)).kind).toBe('missing');
  const mountinfo = await readFile('/proc/self/mountinfo', 'utf8');
  // Nobody knows the volume: it is found by the mount at its staging path, and the record there.
  const data = await recoverVolumeData(world.root, path, { known: [], mountinfo });
  expect(data).toEqual({
    driverName: name,
    volumeHandle: life.volumeId,
    specVolID: 'pv-1',
    volumeLifecycleMode: 'Persistent',
  });
  await driver.node.unpublish(data?.volumeHandle ?? '', path, {}, signal);
  expect(await removeVolumeFolder(path)).toEqual({ kind: 'removed' });
  await life.unstage(signal);
});

test('what is mounted is not removed, and neither is a file somebody left', async () => {
  await using world = await CsiWorld.open();
  await using _example = await startDriver(world);
  const life = new VolumeLife({ driver: await ready(world), root: world.root, name: 'pv-1', use: files });
  await life.create(megabyte, {}, signal);
  await life.stage(signal);
  const path = await life.publish('pod-1', signal);
  await writeFile(join(path, 'precious'), 'data');
  expect(await removeVolumeFolder(path)).toEqual({ kind: 'still-mounted', path });
  await life.driver.node.unpublish(life.volumeId, path, {}, signal);
  await mkdir(path);
  await writeFile(join(path, 'precious'), 'written while nothing was mounted');
  expect(await removeVolumeFolder(path)).toEqual({ kind: 'not-empty', path });
  expect((await readVolumeData(dirname(path))).kind).toBe('read');
  await life.unstage(signal);
});
