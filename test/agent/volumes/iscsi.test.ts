import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { programSucceeded, runProgram, type ProgramResult, type RunProgram } from '../../../base/run-program.js';
import type { Pod, Volume } from '../../../agent/api/index.js';
import { IscsiPlugin } from '../../../agent/volumes/plugins/iscsi/iscsi-volume.js';
import { freePorts } from '../../support/free-ports.js';
import { hostProgram, tryHostProgram } from '../../support/host-program.js';
import { untilAsync } from '../../support/until-async.js';
import { failureOf, firstContainer, podOf, VolumeWorld } from './volume-world.js';

const iqn = 'iqn.2026-11.com.example:berth';
const inPath = async (program: string): Promise<boolean> =>
  programSucceeded(await tryHostProgram(['sh', '-c', `command -v ${program}`]));
const withTools = (await inPath('iscsiadm')) && (await inPath('tgtd'));
if (!withTools) process.stderr.write('SKIPPED: no open-iscsi and tgt here, iSCSI is not tried against a real target\n');

/**
 * A kernel with iSCSI, as far as the plugin sees it: `iscsiadm` is answered here, a login makes the session's files and the disks' links
 * appear, with a loop device for each disk. All other programs run.
 */
class Initiators implements AsyncDisposable {
  readonly dir: string;
  readonly calls: string[] = [];
  /** Devices whose file systems were to be grown. */
  readonly grown: string[] = [];
  readonly #loops = new Map<string, string>();
  /** Portals that do not answer. */
  readonly away = new Set<string>();

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async open(): Promise<Initiators> {
    const dir = await mkdtemp(join(tmpdir(), 'berth-iscsi-'));
    const made = new Initiators(dir);
    for (const folder of ['by-path', 'sys/class/iscsi_host', 'sys/class/scsi_host', 'sys/block'])
      await mkdir(join(dir, folder), { recursive: true });
    for (const lun of ['0', '1']) {
      await hostProgram(['truncate', '-s', '16M', join(dir, `disk-${lun}`)]);
      made.#loops.set(lun, (await hostProgram(['losetup', '--find', '--show', join(dir, `disk-${lun}`)])).trim());
    }
    return made;
  }

  get roots(): { sys: string; byPath: string } {
    return { sys: join(this.dir, 'sys'), byPath: join(this.dir, 'by-path') };
  }

  /** Words of all calls that change sessions. */
  get sessions(): string[] {
    return this.calls.filter((call) => /--log(in|out)/.test(call)).map((call) => call.replace(/ -I \S+/, ''));
  }

  /** The target has made the disk this large. */
  async grow(lun: string, size: string): Promise<void> {
    const loop = this.#loops.get(lun) ?? '';
    await hostProgram(['truncate', '-s', size, join(this.dir, `disk-${lun}`)]);
    await hostProgram(['losetup', '--set-capacity', loop]);
    const sectors = await readFile(join('/sys/block', basename(loop), 'size'), 'utf8');
    await writeFile(join(this.dir, 'sys/block', basename(loop), 'size'), sectors);
  }

  async rescans(lun: string): Promise<string> {
    return await readFile(join(this.dir, 'sys/block', basename(this.#loops.get(lun) ?? ''), 'device/rescan'), 'utf8');
  }

  readonly run: RunProgram = async (options, signal) => {
    const [program, ...args] = options.argv;
    // Growing a mounted ext4 needs CAP_SYS_RESOURCE, which not every machine gives its root: that is for the guest to show.
    if (program === 'resize2fs') return ended(this.grown.push(...args) > 0 ? 0 : 1);
    if (program !== 'iscsiadm') return await runProgram(options, signal);
    this.calls.push(args.join(' '));
    const portal = args[args.indexOf('-p') + 1] ?? '';
    if (args.includes('iface')) return ended(0, 'iface.transport_name = tcp\niface.initiatorname = <empty>\n');
    if (args.includes('--discover') && this.away.has(portal)) return ended(4, '', 'cannot make connection');
    if (args.includes('--login')) await this.#login(portal);
    if (args.includes('--logout')) await this.#logout(portal);
    return ended(0);
  };

  async #login(portal: string): Promise<void> {
    const host = `host${portal.split(':')[1]}`;
    const session = join(this.dir, 'sys/class/iscsi_host', host, 'device/session1');
    await mkdir(join(session, 'iscsi_session/session1'), { recursive: true });
    await writeFile(join(session, 'iscsi_session/session1/targetname'), `${iqn}\n`);
    const connection = join(session, 'connection1:0/iscsi_connection/connection1:0');
    await mkdir(connection, { recursive: true });
    await writeFile(join(connection, 'address'), portal.split(':')[0] ?? '');
    await writeFile(join(connection, 'port'), portal.split(':')[1] ?? '');
    await mkdir(join(this.dir, 'sys/class/scsi_host', host), { recursive: true });
    for (const [lun, loop] of this.#loops) {
      await symlink(loop, join(this.dir, 'by-path', `ip-${portal}-iscsi-${iqn}-lun-${lun}`));
      await mkdir(join(this.dir, 'sys/block', basename(loop), 'device'), { recursive: true });
    }
  }

  async #logout(portal: string): Promise<void> {
    await rm(join(this.dir, 'sys/class/iscsi_host', `host${portal.split(':')[1]}`), { recursive: true, force: true });
    for (const name of await readdir(join(this.dir, 'by-path')))
      if (name.includes(portal)) await rm(join(this.dir, 'by-path', name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const loop of this.#loops.values()) await hostProgram(['losetup', '--detach', loop]);
    await rm(this.dir, { recursive: true });
  }
}

const ended = (code: number, stdout = '', stderr = ''): ProgramResult => ({
  end: { kind: 'exited', code },
  stdout: Buffer.from(stdout),
  stderr,
  argv: [],
  fd3: Buffer.alloc(0),
  durationMs: 0,
});

const disk = (name: string, lun: number, portal = '10.9.9.9', more: object = {}): Volume => ({
  name,
  iscsi: { targetPortal: portal, iqn, lun, fsType: 'ext4', ...more },
});

test('two disks of a target: logged in once, formatted once, kept over restarts, logged out after the last', async () => {
  await using initiators = await Initiators.open();
  await using world = await VolumeWorld.open({
    run: initiators.run,
    drivers: { plugins: (context) => [new IscsiPlugin(context, initiators.roots)] },
  });
  const pods = [podOf({ volumes: [disk('a', 0)] }), podOf({ volumes: [disk('b', 1)] })] as const;
  for (const pod of pods) await world.mount(pod);
  expect(initiators.sessions).toEqual([`-m node -p 10.9.9.9:3260 -T ${iqn} --login`]);
  const path = await world.hostPath(pods[0]);
  expect(path).toBe(world.folder(pods[0], 'volumes/kubernetes.io~iscsi/a'));
  await writeFile(join(path, 'f'), 'user data');
  const place = `iface-default/10.9.9.9:3260-${iqn}-lun-0`;
  expect(await world.mounts()).toContainEqual(
    expect.stringContaining(join(world.root, 'plugins/kubernetes.io/iscsi', place)),
  );

  await world.restart();
  await world.mount(pods[0]);
  await world.restart();
  await world.manager.removeUnused(world.signal);
  await world.unmount(pods[0]);
  expect(initiators.sessions).toHaveLength(1);
  await world.unmount(pods[1]);
  expect(initiators.sessions.at(-1)).toBe(`-m node -p 10.9.9.9:3260 -T ${iqn} --logout`);
  expect(await world.mounts()).toEqual([]);
  expect(await readdir(join(world.root, 'plugins/kubernetes.io/iscsi'))).toEqual([]);

  const again = podOf({ volumes: [disk('a', 0)] });
  await world.mount(again);
  expect(await readFile(join(await world.hostPath(again), 'f'), 'utf8')).toBe('user data');
});

test('one portal of several is enough; none says why of each; a password is not among the words', async () => {
  await using initiators = await Initiators.open();
  await using world = await VolumeWorld.open({
    run: initiators.run,
    drivers: { plugins: (context) => [new IscsiPlugin(context, initiators.roots)] },
  });
  world.objects.secret('chap', { 'node.session.auth.username': 'me', 'node.session.auth.password': 'hush' });
  const portals = ['10.9.9.8:3261'];
  const chap = {
    portals,
    chapAuthSession: true,
    secretRef: { name: 'chap' },
    initiatorName: 'iqn.2026-11.com.example:me',
  };
  const pod = podOf({ volumes: [disk('a', 0, '10.9.9.9', chap)] });
  initiators.away.add('10.9.9.9:3260').add('10.9.9.8:3261');
  const { message } = await failureOf(world.mount(pod));
  expect(message).toMatch(
    /^MountVolume.WaitForAttach failed for volume "a" : .*portal 10.9.9.9:3260: iscsiadm .*--discover.*cannot make connection.*portal 10.9.9.8:3261:/s,
  );
  initiators.away.delete('10.9.9.8:3261');
  await world.mount(pod);
  expect(initiators.calls.join('\n')).toContain('node.session.auth.password -v hush');
  expect(initiators.calls.join('\n')).toContain('iface.initiatorname -v iqn.2026-11.com.example:me');
  await world.unmount(pod);
  expect(initiators.calls.at(-1)).toBe('-m iface -I 10.9.9.9:3260:a -o delete');
});

test('a disk is handed out raw', async () => {
  await using initiators = await Initiators.open();
  await using world = await VolumeWorld.open({
    run: initiators.run,
    drivers: { plugins: (context) => [new IscsiPlugin(context, initiators.roots)] },
  });
  const { iscsi } = disk('', 0);
  world.objects.put('PersistentVolumeClaim', {
    metadata: { name: 'mine', namespace: 'default', uid: 'c' },
    spec: { accessModes: ['ReadWriteOnce'], volumeMode: 'Block', volumeName: 'raw' },
  });
  world.objects.put('PersistentVolume', {
    metadata: { name: 'raw' },
    spec: {
      accessModes: ['ReadWriteOnce'],
      volumeMode: 'Block',
      capacity: { storage: '16Mi' },
      iscsi: { ...iscsi!, secretRef: undefined },
    },
  });
  const pod = podOf({
    volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'mine' } }],
    container: { volumeMounts: [], volumeDevices: [{ name: 'data', devicePath: '/dev/xvda' }] },
  });
  await world.mount(pod);
  const { devices } = await world.manager.forContainer(pod, firstContainer(pod), new Map(), world.signal);
  expect(devices[0]?.hostPath).toBe(world.folder(pod, 'volumeDevices/kubernetes.io~iscsi/raw'));
  await world.restart();
  await world.unmount(pod);
  expect(initiators.sessions).toHaveLength(2);
});

test('grows with its target, also after a restart; a target that has not grown says so and is asked again', async () => {
  await using initiators = await Initiators.open();
  await using world = await VolumeWorld.open({
    run: initiators.run,
    drivers: { plugins: (context) => [new IscsiPlugin(context, initiators.roots)] },
  });
  const { iscsi } = disk('', 0);
  const claim = (capacity: string): void => {
    world.objects.put('PersistentVolumeClaim', {
      metadata: { name: 'mine', namespace: 'default', uid: 'c' },
      spec: { accessModes: ['ReadWriteOnce'], volumeName: 'disk' },
      status: { phase: 'Bound', capacity: { storage: '16Mi' } },
    });
    world.objects.put('PersistentVolume', {
      metadata: { name: 'disk' },
      spec: {
        accessModes: ['ReadWriteOnce'],
        capacity: { storage: capacity },
        iscsi: { ...iscsi!, secretRef: undefined },
      },
    });
  };
  claim('16Mi');
  const pod = podOf({ volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'mine' } }] });
  await world.mount(pod);
  await initiators.grow('0', '16M');
  claim('32Mi');
  await world.restart();
  await world.mount(pod);
  expect(world.events.at(-1)).toMatch(
    /VolumeResizeFailed .*has 16777216 bytes of the 33554432: its target must grow it/,
  );
  await initiators.grow('0', '32M');
  expect(initiators.grown).toEqual([]);
  await untilAsync('the file system is made as large as its disk', async () => {
    await world.mount(pod);
    return initiators.grown.length > 0;
  });
  const [mount] = await world.mounts();
  expect(mount).toContain(initiators.grown[0]);
  expect(world.events.at(-1)).toContain('FileSystemResizeSuccessful');
  expect(await initiators.rescans('0')).toBe('1');
  await world.unmount(pod);
});

test('a Secret that no authentication asks for need not be there', async () => {
  await using initiators = await Initiators.open();
  await using world = await VolumeWorld.open({
    run: initiators.run,
    drivers: { plugins: (context) => [new IscsiPlugin(context, initiators.roots)] },
  });
  const asks = (more: object): Pod =>
    podOf({ volumes: [disk('a', 0, '10.9.9.9', { secretRef: { name: 'nowhere' }, ...more })] });
  await world.mount(asks({}));
  const strict = asks({ chapAuthDiscovery: true });
  for (const pod of world.manager.presentPods()) await world.manager.unmountPod(pod, world.signal);
  expect((await failureOf(world.mount(strict))).message).toContain('secret "nowhere" not found');
  await world.unmount(strict);
});

test.skipIf(!withTools)("a real target: the distribution's own words, and no records are left behind", async () => {
  await using world = await VolumeWorld.open();
  const [port] = await freePorts(1);
  const control = String(100 + ((port ?? 0) % 9000));
  const target = spawn('tgtd', ['-f', '-C', control, '--iscsi', `portal=127.0.0.1:${port}`], { stdio: 'ignore' });
  try {
    const image = join(world.root, 'disk');
    await hostProgram(['truncate', '-s', '16M', image]);
    const admin = ['tgtadm', '-C', control, '--lld', 'iscsi'] as const;
    await untilAsync('the target listens', async () =>
      programSucceeded(await tryHostProgram([...admin, '--op', 'show', '--mode', 'target'])),
    );
    await hostProgram([...admin, '--op', 'new', '--mode', 'target', '--tid', '1', '-T', iqn]);
    const unit = ['--mode', 'logicalunit', '--tid', '1', '--lun', '1', '-b', image];
    await hostProgram([...admin, '--op', 'new', ...unit]);
    await hostProgram([...admin, '--op', 'bind', '--mode', 'target', '--tid', '1', '-I', 'ALL']);
    const pod = podOf({ volumes: [disk('data', 1, `127.0.0.1:${port}`)] });
    const failure = await failureOf(world.mount(pod)).catch(() => undefined);
    // A kernel without iSCSI cannot log in; then what the program says of it is all there is to see.
    if (failure === undefined) await writeFile(join(await world.hostPath(pod), 'f'), 'on the target');
    else
      expect(failure.message).toMatch(
        /^MountVolume.WaitForAttach failed for volume "data" : kubernetes.io\/iscsi: portal 127.0.0.1:\d+: iscsiadm -m .*\w/s,
      );
    await world.unmount(pod);
    const records = (await tryHostProgram(['iscsiadm', '-m', 'discoverydb'])).stdout.toString();
    expect(records).not.toContain(`127.0.0.1:${port}`);
  } finally {
    const gone = new Promise((resolve) => target.once('exit', resolve));
    target.kill('SIGKILL');
    await gone;
  }
});
