import { access, chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { noRecorder } from '../../base/call-recorder.js';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import { programSucceeded, runProgram } from '../../base/run-program.js';
import {
  FlexVolumeError,
  FlexVolumeRegistry,
  flexVolumeDeviceMountPath,
  flexVolumePodPath,
  type FlexVolumeMountOptions,
  type FlexVolumeVerb,
} from '../../csi/index.js';
import { hostProgram, tryHostProgram } from '../support/host-program.js';
import { LeakCheck } from '../support/leak-check.js';
import { loopsUnder, mountsUnder, removeWithoutLeaks } from './csi-world.js';
import { expectSpeed } from '../support/speed.js';

const examples = fileURLToPath(new URL('../../csi/flexvolume/examples/', import.meta.url));
const { signal } = new AbortController();
const megabyte = 1024 * 1024;
const pod = { name: 'web', namespace: 'shop', uid: 'pod-1', serviceAccountName: 'default' };

const withoutJq = process.env['CI'] !== 'true' && !programSucceeded(await tryHostProgram(['jq', '--version']));
if (withoutJq) process.stderr.write('SKIPPED: the example FlexVolume drivers need jq\n');

/** A volume plugin folder, a kubelet's folder, and the registry. */
class FlexWorld implements AsyncDisposable {
  readonly root: string;
  readonly registry: FlexVolumeRegistry;

  private constructor(root: string, timeouts: Partial<Record<FlexVolumeVerb, number>>) {
    this.root = root;
    this.registry = new FlexVolumeRegistry(
      {
        folder: this.folder,
        timeouts,
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', BERTH_LOOPBACK_STATE: join(root, 'state') },
      },
      { runProgram, recorder: noRecorder, clock: systemClock, log: silentLogger },
    );
  }

  static async open(timeouts: Partial<Record<FlexVolumeVerb, number>> = {}): Promise<FlexWorld> {
    const world = new FlexWorld(await mkdtemp(join(tmpdir(), 'berth-flexvol-')), timeouts);
    await world.registry.start();
    return world;
  }

  get folder(): string {
    return join(this.root, 'exec');
  }

  async installExample(vendorFolder: string, program: string): Promise<void> {
    await mkdir(join(this.folder, vendorFolder), { recursive: true });
    await copyFile(join(examples, vendorFolder, program), join(this.folder, vendorFolder, program));
  }

  /** Puts a driver in place as its installer should: under another name first. */
  async install(name: string, script: string): Promise<void> {
    const folder = join(this.folder, `example.com~${name}`);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `.${name}`), script);
    await chmod(join(folder, `.${name}`), 0o755);
    await rename(join(folder, `.${name}`), join(folder, name));
  }

  async untilReady(name: string): Promise<void> {
    await vi.waitUntil(() => this.registry.list().find((driver) => driver.name === name)?.state.kind === 'ready', {
      timeout: 60_000,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.registry[Symbol.asyncDispose]();
    await removeWithoutLeaks(this.root);
  }
}

async function failureOf(promise: Promise<unknown>): Promise<FlexVolumeError> {
  const err = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(err instanceof FlexVolumeError)) throw new Error(`expected a FlexVolumeError, got ${String(err)}`);
  return err;
}

test.skipIf(withoutJq)('the scratch example: tmpfs for a pod, and the driver is found by itself', async () => {
  await using world = await FlexWorld.open();
  await world.installExample('example.com~scratch', 'scratch');
  await world.untilReady('example.com/scratch');
  const driver = world.registry.driver('example.com/scratch');
  expect((await driver.capabilities(signal)).attach).toBe(false);
  const path = flexVolumePodPath(world.root, 'pod-1', 'example.com/scratch', 'tmp');
  const volume: FlexVolumeMountOptions = { volumeName: 'tmp', readOnly: false, pod, options: { size: '1m' } };
  expect(await driver.mount(path, volume, {}, signal)).toBe('done');
  expect(await driver.mount(path, volume, {}, signal)).toBe('done');
  await writeFile(join(path, 'x'), 'y');
  expect(await mountsUnder(world.root)).toEqual([path]);
  expect(await driver.unmount(path, {}, signal)).toBe('done');
  expect(await driver.unmount(path, {}, signal)).toBe('done');
  expect(await driver.mountDevice('/nowhere', '', volume, {}, signal)).toBe('not-supported');
  expect(driver.status.notSupported).toEqual(['mountdevice']);
});

test.skipIf(withoutJq)('the scratch example: an image keeps its data, grows, and can be read-only', async () => {
  await using world = await FlexWorld.open();
  await world.installExample('example.com~scratch', 'scratch');
  const driver = world.registry.driver('example.com/scratch');
  const image = join(world.root, 'disk.img');
  const volume: FlexVolumeMountOptions = {
    volumeName: 'data',
    fsType: 'ext4',
    readOnly: false,
    pod,
    options: { medium: 'image', image, size: '16m' },
  };
  const path = flexVolumePodPath(world.root, 'pod-1', 'example.com/scratch', 'data');
  expect(await driver.getVolumeName(volume, {}, signal)).toBe(image);
  await driver.mount(path, volume, {}, signal);
  await writeFile(join(path, 'x'), 'kept');
  await driver.unmount(path, {}, signal);
  const grown = await driver.expandVolume(volume, path, 32 * megabyte, 16 * megabyte, {}, signal);
  expect(grown).toEqual({ bytes: 32 * megabyte });
  expect(await driver.expandFs(volume, '', path, 32 * megabyte, 16 * megabyte, {}, signal)).toBe('done');
  await driver.mount(path, { ...volume, readOnly: true }, {}, signal);
  expect(await readFile(join(path, 'x'), 'utf8')).toBe('kept');
  await expect(writeFile(join(path, 'y'), '')).rejects.toThrow('EROFS');
  await driver.unmount(path, {}, signal);
  const wrong = driver.mount(path, { ...volume, options: { medium: 'stone' } }, {}, signal);
  expect((await failureOf(wrong)).message).toContain('unknown medium stone');
});

test.skipIf(withoutJq)(
  'the loopback example: attach, mount for the node, bind for the pod, and all the way back',
  async () => {
    await using world = await FlexWorld.open();
    await world.installExample('example.com~loopback', 'loopback');
    const driver = world.registry.driver('example.com/loopback');
    const image = join(world.root, 'disk.img');
    const volume = { volumeName: 'pv-1', fsType: 'ext4', readOnly: false, options: { image, create: '16m' } };
    expect((await driver.capabilities(signal)).attach).toBe(true);
    await writeFile(image, '');
    expect(await driver.isAttached(volume, 'node', {}, signal)).toBe(false);
    await rm(image);
    const attached = await driver.attach(volume, 'node', {}, signal);
    expect(attached).toEqual(await driver.attach(volume, 'node', {}, signal));
    const { device } = await driver.waitForAttach(attached.device, volume, {}, signal);
    expect(await loopsUnder(world.root)).toEqual([expect.stringContaining(device)]);
    expect(await driver.isAttached(volume, 'node', {}, signal)).toBe(true);
    const global = flexVolumeDeviceMountPath(world.root, 'example.com/loopback', 'pv-1');
    expect(await driver.mountDevice(global, device, volume, {}, signal)).toBe('done');
    expect(await driver.mountDevice(global, device, volume, {}, signal)).toBe('done');
    const path = flexVolumePodPath(world.root, 'pod-1', 'example.com/loopback', 'pv-1');
    expect(await driver.mount(path, { ...volume, pod }, {}, signal)).toBe('not-supported');
    await mkdir(path, { recursive: true });
    await hostProgram(['mount', '--bind', global, path]);
    await writeFile(join(path, 'x'), 'y');
    expect(await driver.unmount(path, {}, signal)).toBe('not-supported');
    await hostProgram(['umount', path]);
    expect(await driver.unmountDevice(global, {}, signal)).toBe('done');
    await driver.detach('pv-1', 'node', {}, signal);
    await driver.detach('pv-1', 'node', {}, signal);
    expect(await loopsUnder(world.root)).toEqual([]);
    // What was written is on the disk: attached again, it is not formatted again.
    const again = await driver.attach(volume, 'node', {}, signal);
    await driver.mountDevice(global, again.device, volume, {}, signal);
    expect(await readFile(join(global, 'x'), 'utf8')).toBe('y');
    await driver.unmountDevice(global, {}, signal);
    await driver.detach('pv-1', 'node', {}, signal);
  },
);

const say = (json: string): string => `printf '%s' '${json}'`;
const success = say('{"status":"Success"}');

/** A driver whose `unmount` is given and whose other verbs work. */
const script = (unmount: string): string =>
  `#!/bin/sh\ncase "$1" in\n  unmount) ${unmount} ;;\n  *) ${success} ;;\nesac\n`;

test.each([
  ['prints nothing', 'exit 0', { code: 'garbled', certainty: 'uncertain' }, 'printed nothing'],
  ['prints garbage', 'echo starting up; echo oops >&2', { code: 'garbled' }, 'starting up; on standard error: oops'],
  ['prints 10 MB', 'head -c 10000000 /dev/zero', { code: 'output-too-large' }, 'more than 1048576 bytes'],
  ['floods standard error', 'yes >&2', { code: 'output-too-large' }, 'more than 1048576 bytes'],
  ['hangs', 'sleep 600600', { code: 'timed-out', afterMs: 400 }, 'no end within 400 ms'],
  ['hangs and does not die of SIGTERM', "trap '' TERM; sleep 600600", { code: 'timed-out' }, 'no end within 400 ms'],
  [
    'answers and hangs',
    `${success}; sleep 600600`,
    { code: 'timed-out', certainty: 'uncertain' },
    'no end within 400 ms',
  ],
  ['dies half way', 'printf \'{"status":"Succ\'; kill -9 $$', { code: 'crashed', exitCode: null }, 'SIGKILL'],
  [
    'ends half way through its answer',
    'printf \'{"status":"Succ\'; exit 7',
    { code: 'crashed', exitCode: 7 },
    'exited with 7',
  ],
  [
    'fails with its reason',
    `${say('{"status":"Failure","message":"target is busy"}')}; exit 1`,
    { code: 'failed', certainty: 'final' },
    'target is busy',
  ],
])('a driver that %s', async (_what, unmount, failure, words) => {
  await using _leaks = await LeakCheck.open({ kinds: ['process'], tokens: ['sleep 600600', 'example.com~bad'] });
  // Only those that hang come to their time-out: the others have all the time that a busy machine takes.
  await using world = await FlexWorld.open({ unmount: failure.code === 'timed-out' ? 400 : 60_000 });
  await world.install('bad', script(unmount));
  const err = await failureOf(world.registry.driver('example.com/bad').unmount('/m', {}, signal));
  expect(err.failure).toMatchObject({ verb: 'unmount', driver: 'example.com/bad', ...failure });
  expect(err.message).toContain(words);
});

test('a driver that leaves a daemon with its pipes open is answered all the same', async () => {
  await using world = await FlexWorld.open();
  const pidFile = join(world.root, 'pid');
  await world.install('daemon', script(`sleep 600600 & echo $! >${pidFile}; ${success}`));
  expect(await world.registry.driver('example.com/daemon').unmount('/m', {}, signal)).toBe('done');
  // It lives, and nobody waited for it. A kill of what is gone would throw.
  process.kill(Number(await readFile(pidFile, 'utf8')), 'SIGKILL');
});

test('what a driver prints while it hangs is told before it ends', async () => {
  await using world = await FlexWorld.open();
  const go = join(world.root, 'go');
  const waits = `echo 'no path to the array' >&2; until [ -e ${go} ]; do sleep 0.05; done`;
  await world.install('slow', script(`${waits}; ${success}`));
  const driver = world.registry.driver('example.com/slow');
  const subject = { podUid: 'pod-1', object: 'data' };
  const unmounted = driver.unmount('/m', subject, signal);
  const one = { driver: 'example.com/slow', verb: 'unmount', subject, attempt: 1, said: 'no path to the array' };
  await vi.waitFor(() => expect(world.registry.underWay()).toMatchObject([one]), { timeout: 60_000 });
  await writeFile(go, '');
  expect(await unmounted).toBe('done');
  expect(world.registry.underWay()).toEqual([]);
});

test('replaced while in use: init again, and "Not supported" is forgotten', async () => {
  await using world = await FlexWorld.open();
  await world.install('moving', script(say('{"status":"Not supported"}')));
  const driver = world.registry.driver('example.com/moving');
  expect(await driver.unmount('/m', {}, signal)).toBe('not-supported');
  const seen: string[] = [];
  world.registry.onChange((changed) => seen.push(changed.status.state.kind));
  await world.install('moving', script(success));
  await vi.waitFor(() => expect(seen).toEqual(['new', 'ready']), { timeout: 60_000 });
  expect(await driver.unmount('/m', {}, signal)).toBe('done');
});

test('removed while in use: unmount fails by that name until the driver is back, and then works', async () => {
  await using world = await FlexWorld.open();
  await world.install('leaving', script(success));
  const driver = world.registry.driver('example.com/leaving');
  expect(await driver.unmount('/m', {}, signal)).toBe('done');
  await rm(join(world.folder, 'example.com~leaving'), { recursive: true });
  await vi.waitFor(() => expect(driver.status.state.kind).toBe('missing'), { timeout: 60_000 });
  expect((await failureOf(driver.unmount('/m', {}, signal))).failure).toMatchObject({ code: 'not-installed' });
  await world.install('leaving', script(success));
  await world.untilReady('example.com/leaving');
  expect(world.registry.driver('example.com/leaving')).toBe(driver);
  expect(await driver.unmount('/m', {}, signal)).toBe('done');
});

test('a driver that hangs at init does not hold up the others', async () => {
  await using world = await FlexWorld.open();
  await world.install('stuck', '#!/bin/sh\nsleep 600600\n');
  await world.install('fine', script(success));
  await world.untilReady('example.com/fine');
  expect(world.registry.list().find((driver) => driver.name === 'example.com/stuck')?.state.kind).toBe('new');
});

test('no interpreter, and a program that is no program', async () => {
  await using world = await FlexWorld.open();
  await world.install('bad', '#!/no/such/shell\n');
  const driver = world.registry.driver('example.com/bad');
  expect((await failureOf(driver.unmount('/m', {}, signal))).message).toContain('interpreter');
  await world.install('bad', 'just words');
  const err = await failureOf(driver.unmount('/m', {}, signal));
  expect(err.failure).toMatchObject({ verb: 'init', code: 'crashed' });
  expect(err.message).toContain('just: not found');
});

test('the agent spends under 5 ms of CPU on a mount of a 10 ms driver', async () => {
  await using world = await FlexWorld.open();
  await world.install('quick', `#!/bin/sh\nsleep 0.01\n${success}\n`);
  const driver = world.registry.driver('example.com/quick');
  await driver.capabilities(signal);
  const before = process.cpuUsage();
  const volume: FlexVolumeMountOptions = { volumeName: 'v', readOnly: false, pod };
  for (let i = 0; i < 100; i++) await driver.mount(`/m/${i}`, volume, {}, signal);
  const { user, system } = process.cpuUsage(before);
  expectSpeed('FlexVolume mount, ms CPU', (user + system) / 1000 / 100, 5);
});

test('the examples are executable', async () => {
  for (const program of ['example.com~scratch/scratch', 'example.com~loopback/loopback']) {
    await access(join(examples, program), 1);
  }
});
