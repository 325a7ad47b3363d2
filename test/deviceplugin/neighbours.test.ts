import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { noRecorder } from '../../base/call-recorder.js';
import { systemClock } from '../../base/clock.js';
import { silentLogger } from '../../base/log.js';
import type { ApplyCdi } from '../../cri/embedded/index.js';
import { PluginWatcher } from '../../csi/index.js';
import { CdiCache, applyContainerEdits } from '../../deviceplugin/index.js';
import { UnixServer } from '../../deviceplugin/wire/unix-server.js';
import { serviceDefinition } from '../../proto/load.js';
import { hostProgram } from '../support/host-program.js';
import { LeakCheck } from '../support/leak-check.js';
import { DeviceWorld, gpu, healthy, rawPlugin, ready, statusOf, eventually } from './device-world.js';

test('a plugin in the plugin registration folder is found, taken, told so, and dropped when it goes', async () => {
  await using world = await DeviceWorld.open();
  await using manager = await world.manager();
  const server = await rawPlugin(world, 'p.sock', { devices: healthy('a') });
  const folder = join(world.root, 'plugins_registry');
  await using watcher = new PluginWatcher(
    { folder },
    { handlers: { DevicePlugin: manager.handler }, recorder: noRecorder, clock: systemClock, log: silentLogger },
  );
  await watcher.start();
  const told: object[] = [];
  const registration = await UnixServer.listen(
    join(folder, 'gpu-reg.sock'),
    [
      {
        definition: serviceDefinition('pluginregistration-v1', 'pluginregistration.Registration'),
        methods: {
          getInfo: async () =>
            await Promise.resolve({
              type: 'DevicePlugin',
              name: gpu,
              endpoint: server.path,
              supportedVersions: ['v1beta1'],
            }),
          notifyRegistrationStatus: async (status) => {
            told.push(status);
            return await Promise.resolve({});
          },
        },
      },
    ],
    0o750,
  );
  await ready(manager);
  await eventually('the plugin to be told', () => told.length > 0);
  expect(told).toEqual([{ pluginRegistered: true, error: '' }]);
  await registration[Symbol.asyncDispose]();
  await eventually('it to be dropped', () => statusOf(manager)?.state === 'stopped');
});

const busybox = '/bin/busybox';
const hasTools = existsSync(busybox) && existsSync('/usr/bin/crun');
if (!hasTools) process.stderr.write('SKIPPED: CDI with a real container needs crun and busybox-static\n');

test.skipIf(!hasTools)(
  'a container made with CDI edits sees the node, the mount, the env and the hook’s work',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'berth-cdi-'));
    const id = `berth-cdi-${process.pid}`;
    await using _leaks = await LeakCheck.open({ kinds: ['cgroup', 'mount', 'process'], tokens: [id, folder] });
    try {
      const rootfs = join(folder, 'rootfs');
      for (const name of ['bin', 'dev', 'proc', 'hostfile']) await mkdir(join(rootfs, name), { recursive: true });
      await cp(busybox, join(rootfs, 'bin', 'busybox'));
      await symlink('busybox', join(rootfs, 'bin', 'sh'));
      await hostProgram(['mknod', '-m', '0660', join(folder, 'gpu0'), 'c', '1', '5']);
      await mkdir(join(folder, 'lib'));
      await writeFile(join(folder, 'lib', 'driver.txt'), 'driver 1.2.3\n');
      await mkdir(join(folder, 'cdi'));
      await writeFile(
        join(folder, 'cdi', 'gpu.json'),
        JSON.stringify({
          cdiVersion: '0.5.0',
          kind: 'example.com/gpu',
          containerEdits: {
            mounts: [{ hostPath: join(folder, 'lib'), containerPath: '/opt/driver', options: ['ro', 'bind'] }],
            hooks: [
              {
                hookName: 'createRuntime',
                path: '/usr/bin/touch',
                args: ['touch', join(folder, 'hook-ran')],
              },
            ],
          },
          devices: [
            {
              name: '0',
              containerEdits: {
                env: ['GPU=zero'],
                deviceNodes: [{ path: '/dev/gpu0', hostPath: join(folder, 'gpu0'), permissions: 'rw' }],
              },
            },
          ],
        }),
      );
      using cache = new CdiCache({ folders: [join(folder, 'cdi')] }, { log: silentLogger });
      const script =
        'busybox stat -c "%t:%T %a" /dev/gpu0; busybox head -c 3 /dev/gpu0 | busybox wc -c; echo $GPU; busybox cat /opt/driver/driver.txt';
      const namespaces = ['mount', 'pid', 'ipc', 'uts', 'network'].map((type) => ({ type }));
      const spec = {
        ociVersion: '1.0.2',
        root: { path: rootfs },
        process: { user: { uid: 0, gid: 0 }, args: ['/bin/busybox', 'sh', '-c', script], env: ['PATH=/bin'], cwd: '/' },
        mounts: [
          { destination: '/proc', type: 'proc', source: 'proc' },
          { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['mode=755'] },
        ],
        linux: { namespaces, resources: { devices: [{ allow: false, access: 'rwm' }] } },
      };
      const edited = applyContainerEdits(spec, await cache.resolve(['example.com/gpu=0']));
      await writeFile(join(folder, 'config.json'), JSON.stringify(edited));
      const words = await hostProgram(['crun', '--root', join(folder, 'state'), 'run', '-b', folder, id]);
      expect(words.split('\n')).toEqual(['1:5 660', '3', 'zero', 'driver 1.2.3', '']);
      expect(existsSync(join(folder, 'hook-ran'))).toBe(true);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
);

/** Compiles only while the embedded runtime can be given CDI by these two. */
export const applyCdi =
  (cache: CdiCache): ApplyCdi =>
  async (names, spec) =>
    applyContainerEdits(spec, await cache.resolve(names));
