import { chmod, chown, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { runProgram } from '../../../base/run-program.js';
import { mountedLayers } from '../../../cri/embedded/index.js';
import type { v1 } from '../../../cri/index.js';
import { missingComponents, neverAborted, RuntimeWorld } from './runtime-world.js';

const missing = missingComponents();
if (missing !== '') console.warn(`SKIPPED user namespaces of the embedded runtime: ${missing}`);

const base = 9 * 65_536;
const mapping: readonly v1.IDMapping[] = [{ hostId: base, containerId: 0, length: 65_536 }];
const options = (more: v1.NamespaceOption = {}): v1.NamespaceOption => ({
  network: 'POD',
  ipc: 'POD',
  pid: 'CONTAINER',
  usernsOptions: { mode: 'POD', uids: mapping, gids: mapping },
  ...more,
});

async function openWorld(): Promise<RuntimeWorld> {
  const world = await RuntimeWorld.open();
  // As the folders of an agent are: who may not list them may pass through.
  await chmod(world.folder, 0o711);
  return world;
}

async function runSandbox(world: RuntimeWorld, more: v1.NamespaceOption = {}): Promise<string> {
  const linux = { cgroupParent: world.cgroupParent, securityContext: { namespaceOptions: options(more) } };
  return await world.runSandbox('pod', { linux });
}

async function start(
  world: RuntimeWorld,
  sandbox: string,
  name: string,
  command: readonly string[],
  overrides: Partial<v1.ContainerConfig> = {},
  security: v1.LinuxContainerSecurityContext = {},
  more: v1.NamespaceOption = {},
): Promise<string> {
  const linux = { securityContext: { namespaceOptions: options(more), ...security } };
  return await world.startContainer(sandbox, name, command, { ...overrides, linux });
}

const sleep = ['sleep', '1000000'];
const owner = async (path: string): Promise<string> => {
  const { uid, gid } = await stat(path);
  return `${uid}:${gid}`;
};

test.skipIf(missing !== '')('the root of a pod with a user namespace is nobody on the host', async () => {
  await using world = await openWorld();
  const volume = join(world.folder, 'volume');
  await mkdir(volume);
  await writeFile(join(volume, 'of-root'), '');
  await writeFile(join(volume, 'of-user'), '');
  await chown(join(volume, 'of-user'), 1000, 1000);
  const sandbox = await runSandbox(world);
  const mounts: v1.Mount[] = [
    { containerPath: '/mapped', hostPath: volume, uidMappings: mapping, gidMappings: mapping },
    { containerPath: '/plain', hostPath: volume },
  ];
  const id = await start(world, sandbox, 'main', sleep, { mounts });
  const inside = (text: string): Promise<string> => world.exec(id, 'sh', '-c', text);

  expect((await inside('cat /proc/self/uid_map')).split(/\s+/)).toEqual(['0', String(base), '65536']);
  expect((await inside('cat /proc/self/gid_map')).split(/\s+/)).toEqual(['0', String(base), '65536']);
  expect((await readFile(`/proc/${await world.pid(id)}/status`, 'utf8')).match(/^Uid:\s+(\d+)/m)?.[1]).toBe(
    String(base),
  );
  expect(
    await inside('stat -c %u:%g / /bin/busybox /etc/hostname /dev/shm /mapped/of-root /mapped/of-user /plain'),
  ).toBe(['0:0', '0:0', '0:0', '0:0', '0:0', '1000:1000', '65534:65534'].join('\n'));
  // What it writes belongs to 0 on a mapped volume, and to its range in its own layer.
  await inside('touch /mapped/new /new; chown 7:7 /new; touch /dev/shm/new; echo written > /etc/hostname');
  expect(await owner(join(volume, 'new'))).toBe('0:0');
  expect(await owner(join(world.options.stateDir, 'containers', id, 'upper', 'new'))).toBe(`${base + 7}:${base + 7}`);
  await expect(inside('touch /plain/new')).rejects.toThrow(/Permission denied/);
  // It has every power over its own network, and none over the host's.
  expect(await inside('cat /sys/class/net/lo/flags')).toBe('0x9');
  await expect(inside('echo 1 > /proc/sys/kernel/panic')).rejects.toThrow(/can't create/);

  const other = await start(world, sandbox, 'other', ['cat', '/proc/self/uid_map'], {}, { runAsUser: { value: 1000 } });
  expect((await world.exited(other)).exitCode).toBe(0);
  const bundle = await readdir(join(world.options.runDir, 'containers', id));
  expect(bundle.filter((name) => name.startsWith('lower-'))).toEqual([]);
  // What it has mounted is known, so that its layers are not removed with their image.
  expect([...mountedLayers()]).toContain(basename(String(world.image.lowerDirs[0])));

  const { status } = await world.runtime.podSandboxStatus({ podSandboxId: sandbox }, neverAborted());
  expect(status?.linux?.namespaces?.options?.usernsOptions).toEqual({ mode: 'POD', uids: mapping, gids: mapping });
  await world.reopen();
  expect(await world.sandboxState(sandbox)).toBe('SANDBOX_READY');
  expect(await inside('id -u')).toBe('0');
});

test.skipIf(missing !== '')('PIDs shared by a pod with a user namespace', async () => {
  await using world = await openWorld();
  const sandbox = await runSandbox(world, { pid: 'POD' });
  const one = await start(world, sandbox, 'one', ['sleep', '424242'], {}, {}, { pid: 'POD' });
  const two = await start(world, sandbox, 'two', sleep, {}, {}, { pid: 'POD' });
  expect(await world.exec(two, 'ps')).toContain('sleep 424242');
  await world.runtime.stopContainer({ containerId: one, timeout: 0 }, neverAborted());
  expect(await world.sandboxState(sandbox)).toBe('SANDBOX_READY');
});

test.skipIf(missing !== '')('a user namespace that cannot be had is refused with the reason', async () => {
  await using world = await openWorld();
  const linux = { cgroupParent: world.cgroupParent, securityContext: { namespaceOptions: options() } };
  const config = world.sandboxConfig('refused', { linux });
  await expect(world.runtime.runPodSandbox({ config, runtimeHandler: 'runc' }, neverAborted())).rejects.toThrow(
    /no user namespace: runtime handler runc is not known to do ID-mapped mounts/,
  );
  await expect(runSandbox(world, { network: 'NODE' })).rejects.toThrow(/network namespace of the host/);
  const [uids] = mapping;
  const uneven = { mode: 'POD', uids: [{ ...uids, length: 1 }], gids: mapping } as const;
  await expect(runSandbox(world, { usernsOptions: uneven })).rejects.toThrow(/users and groups differ/);
  const sandbox = await world.runSandbox('plain');
  await expect(start(world, sandbox, 'main', sleep)).rejects.toThrow(/not that of its sandbox/);
  const { runtimeHandlers = [] } = await world.runtime.status({}, neverAborted());
  expect(Object.fromEntries(runtimeHandlers.map(({ name, features }) => [name, features?.userNamespaces]))).toEqual({
    '': true,
    crun: true,
    runc: false,
  });
});

test.skipIf(missing !== '')(
  'a create cut off when /dev/shm is mounted: the next one mounts no second on top',
  async () => {
    await using world = await openWorld();
    const abort = new AbortController();
    await world.reopen({
      run: async (program, signal) => {
        const result = await runProgram(program, signal);
        if (program.argv.includes('tmpfs')) abort.abort(new Error('stop it'));
        signal.throwIfAborted();
        return result;
      },
    });
    const podSandboxId = await runSandbox(world);
    const linux = { securityContext: { namespaceOptions: options() } };
    const config = world.containerConfig('main', sleep, { linux });
    await expect(world.runtime.createContainer({ podSandboxId, config }, abort.signal)).rejects.toThrow('stop it');
    await world.createContainer(podSandboxId, 'main', sleep, { linux });
    const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
    expect(mounts.filter((line) => line.includes(podSandboxId) && line.includes(' tmpfs shm '))).toHaveLength(1);
  },
);
