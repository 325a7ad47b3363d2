import { chmod, link, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findNvidia } from '../../deviceplugin/examples/gpu/find-nvidia.js';
import type { Gpu, GpuSet } from '../../deviceplugin/examples/gpu/gpu.js';
import { gpusInMigMode } from '../../deviceplugin/examples/gpu/mig-mode.js';
import { hostProgram } from '../support/host-program.js';
import { LeakCheck } from '../support/leak-check.js';
import { BuiltExamples } from './build-examples.js';
import { DeviceWorld, container, eventually, gpu, pod, ready, signal, statusOf } from './device-world.js';
import { PluginProcess } from './plugin-process.js';
import { expectSpeed } from '../support/speed.js';

let examples: BuiltExamples;
beforeAll(async () => {
  examples = await BuiltExamples.build();
});
afterAll(async () => {
  await examples[Symbol.asyncDispose]();
});

function gpuPlugin(world: DeviceWorld, ...flags: string[]): PluginProcess {
  const args = ['--resource', gpu, '--plugin-folder', world.plugins, '--folder', join(world.root, 'gpus'), ...flags];
  const plugin = new PluginProcess(examples.gpuPlugin, args);
  world.own(plugin);
  plugin.start();
  return plugin;
}

const unhealthyFile = (world: DeviceWorld): string => join(world.root, 'gpus', 'unhealthy');

describe('the GPU plugin as a process', () => {
  test('registers; a pod gets device nodes and env, near each other', async () => {
    await using world = await DeviceWorld.open();
    await using _leaks = await LeakCheck.open({ kinds: ['process', 'listener'], tokens: [world.root] });
    await using manager = await world.manager();
    await using plugin = gpuPlugin(world, '--simulate', '4', '--numa-nodes', '2');
    expect(await ready(manager)).toMatchObject({ capacity: 4, allocatable: 4, state: 'ready' });

    const admission = pod('pod-1', container('init', 1, 'init'), container('main', 2));
    expect(manager.topologyHints(admission, 'main').get(gpu)).toEqual([
      { numaNodes: [0], preferred: true },
      { numaNodes: [1], preferred: true },
      { numaNodes: [0, 1], preferred: false },
    ]);
    expect(await manager.allocate(admission, signal)).toEqual({ kind: 'allocated', ignored: [] });

    const nodes = manager.devicesOf('pod-1', 'main').map((device) => device.numaNodes);
    expect(nodes).toHaveLength(2);
    expect(nodes[0]).toEqual(nodes[1]);
    const options = manager.containerOptions('pod-1', 'main');
    const ids = manager.devicesOf('pod-1', 'main').map((device) => device.id);
    expect(options?.envs).toEqual({ NVIDIA_VISIBLE_DEVICES: ids.join(',') });
    for (const device of options?.devices ?? []) {
      expect((await stat(device.hostPath)).isCharacterDevice()).toBe(true);
      expect(device).toMatchObject({ permissions: 'rw' });
    }
    // The init container's device was taken over.
    expect(statusOf(manager)?.inUse).toBe(2);
    expect(world.calls.map((call) => call.verb)).toEqual(
      expect.arrayContaining(['GetDevicePluginOptions', 'ListAndWatch', 'GetPreferredAllocation', 'Allocate']),
    );
    await plugin.stop('SIGTERM');
  });

  test('a change of health reaches listeners in under 100 ms and the container status at once', async () => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager();
    gpuPlugin(world, '--simulate', '2');
    await ready(manager);
    await manager.allocate(pod('pod-1', container('main', 2)), signal);

    const times: number[] = [];
    for (const [round, text] of ['gpu-0\n', '', 'gpu-0\n', '', 'gpu-0\n', ''].entries()) {
      let tell = (_at: number): void => {};
      const told = new Promise<number>((resolve) => (tell = resolve));
      using _listening = manager.subscribe((change) => {
        if (change.podUids.includes('pod-1')) tell(performance.now());
      });
      const start = performance.now();
      await writeFile(unhealthyFile(world), text);
      times.push((await told) - start);
      expect(manager.containerHealth('pod-1', 'main')).toEqual([
        {
          name: gpu,
          resources: [
            { resourceID: 'gpu-0', health: round % 2 === 0 ? 'Unhealthy' : 'Healthy' },
            { resourceID: 'gpu-1', health: 'Healthy' },
          ],
        },
      ]);
      expect(statusOf(manager)).toMatchObject({ capacity: 2, allocatable: round % 2 === 0 ? 1 : 2 });
    }
    // The median: other work on the machine may delay one of them.
    const median = times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
    expectSpeed('health change, ms until it is seen', median, 100);
  });

  test('a device that goes away while in use is unhealthy', async () => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager();
    gpuPlugin(world, '--simulate', '1');
    await ready(manager);
    await manager.allocate(pod('pod-1', container('main', 1)), signal);
    await rm(join(world.root, 'gpus', 'gpu0'));
    await eventually(
      'the loss to be seen',
      () => manager.containerHealth('pod-1', 'main')[0]?.resources[0]?.health === 'Unhealthy',
    );
    await expect(manager.allocate(pod('pod-2', container('main', 1)), signal)).rejects.toMatchObject({
      failure: { code: 'insufficient', available: 0 },
    });
  });

  test('killed and started again: capacity stays, pods keep their devices, new ones wait meanwhile', async () => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager();
    const plugin = gpuPlugin(world, '--simulate', '2');
    await ready(manager);
    await manager.allocate(pod('pod-1', container('main', 1)), signal);
    const options = manager.containerOptions('pod-1', 'main');

    await plugin.stop('SIGKILL');
    await eventually('the stop to be seen', () => statusOf(manager)?.state === 'stopped');
    expect(manager.capacity()).toEqual([{ resource: gpu, capacity: 2, allocatable: 0 }]);
    expect(manager.containerHealth('pod-1', 'main')[0]?.resources[0]).toMatchObject({
      health: 'Unknown',
      message: expect.stringContaining('stopped') as string,
    });
    expect(await manager.allocate(pod('pod-2', container('main', 1)), signal)).toMatchObject({
      kind: 'wait',
      resource: gpu,
      reason: expect.stringContaining('stopped') as string,
    });

    plugin.start();
    await ready(manager);
    expect(manager.containerOptions('pod-1', 'main')).toEqual(options);
    expect(manager.containerHealth('pod-1', 'main')[0]?.resources[0]?.health).toBe('Healthy');
    expect(await manager.allocate(pod('pod-2', container('main', 1)), signal)).toMatchObject({ kind: 'allocated' });
    expect(manager.devicesOf('pod-2', 'main')[0]?.id).not.toBe(manager.devicesOf('pod-1', 'main')[0]?.id);
  });

  test('a new manager on the same root: the plugin is back, grants hold, nothing is handed out twice', async () => {
    await using world = await DeviceWorld.open();
    const first = await world.manager();
    gpuPlugin(world, '--simulate', '2');
    await ready(first);
    await first.allocate(pod('pod-1', container('main', 1)), signal);
    const options = first.containerOptions('pod-1', 'main');

    const second = await world.manager();
    expect(second.checkpointMissing).toBe(false);
    expect(second.notes).toEqual([]);
    expect(second.containerOptions('pod-1', 'main')).toEqual(options);
    await ready(second);
    expect(await second.allocate(pod('pod-1', container('main', 1)), signal)).toMatchObject({ kind: 'allocated' });
    await second.allocate(pod('pod-2', container('main', 1)), signal);
    await expect(second.allocate(pod('pod-3', container('main', 1)), signal)).rejects.toMatchObject({
      failure: { code: 'insufficient' },
    });
    await second.retainOnly(new Set(['pod-2']), signal);
    expect(await second.allocate(pod('pod-3', container('main', 1)), signal)).toMatchObject({ kind: 'allocated' });
  });

  test('after a reboot the plugin comes later than the pod: it waits, its resource counts 0 and is not forgotten', async () => {
    await using world = await DeviceWorld.open();
    const first = await world.manager();
    const plugin = gpuPlugin(world, '--simulate', '1');
    await ready(first);
    await plugin.stop('SIGKILL');

    const second = await world.manager();
    expect(second.capacity()).toEqual([{ resource: gpu, capacity: 0, allocatable: 0 }]);
    const wait = await second.allocate(pod('pod-1', container('main', 1)), signal);
    expect(wait).toMatchObject({ kind: 'wait', reason: expect.stringContaining('was here before') as string });
    plugin.start();
    await ready(second);
    expect(await second.allocate(pod('pod-1', container('main', 1)), signal)).toMatchObject({ kind: 'allocated' });
  });

  test('finds NVIDIA GPUs by what their driver tells, and by their nodes alone', async () => {
    await using world = await DeviceWorld.open();
    await using manager = await world.manager();
    const host = join(world.root, 'host');
    const args = ['--simulate', '2', '--folder', join(host, 'nodes'), '--plugin-folder', world.plugins];
    const makeNodes = new PluginProcess(examples.gpuPlugin, [...args, '--resource', 'a.b/c']);
    world.own(makeNodes).start();
    await eventually('nodes to be made', () => makeNodes.lines.some((line) => line.includes('registered')));
    await makeNodes.stop('SIGKILL');
    await mkdir(join(host, 'dev'));
    // Real character devices under the names of the driver.
    await link(join(host, 'nodes', 'gpu0'), join(host, 'dev', 'nvidia3'));
    await link(join(host, 'nodes', 'gpu1'), join(host, 'dev', 'nvidiactl'));
    const roots = ['--dev', join(host, 'dev'), '--proc', join(host, 'proc'), '--sys', join(host, 'sys')];

    const bare = gpuPlugin(world, ...roots);
    await ready(manager);
    expect(manager.allocatableDevices().filter((device) => device.resource === gpu)).toEqual([
      { resource: gpu, id: 'nvidia3', numaNodes: [] },
    ]);
    await bare.stop('SIGTERM');

    const address = '0000:3B:00.0';
    await mkdir(join(host, 'proc', 'driver', 'nvidia', 'gpus', address), { recursive: true });
    await writeFile(
      join(host, 'proc', 'driver', 'nvidia', 'gpus', address, 'information'),
      'Model: \t\t NVIDIA H200\nIRQ:   \t\t 21\nGPU UUID: \t GPU-1234-abcd\nDevice Minor: \t 3\n',
    );
    await mkdir(join(host, 'sys', 'bus', 'pci', 'devices', address.toLowerCase()), { recursive: true });
    await writeFile(join(host, 'sys', 'bus', 'pci', 'devices', address.toLowerCase(), 'numa_node'), '1\n');
    const told = gpuPlugin(world, ...roots);
    await eventually('the GPU to be listed', () => manager.allocatableDevices().some((d) => d.id === 'GPU-1234-abcd'));
    await manager.allocate(pod('pod-1', container('main', 1)), signal);
    expect(manager.devicesOf('pod-1', 'main')).toEqual([{ resource: gpu, id: 'GPU-1234-abcd', numaNodes: [1] }]);
    expect(manager.containerOptions('pod-1', 'main')).toMatchObject({
      envs: { NVIDIA_VISIBLE_DEVICES: 'GPU-1234-abcd' },
      devices: [{ containerPath: '/dev/nvidia3' }, { containerPath: '/dev/nvidiactl' }],
    });
    expect(await eventually('its words', () => told.lines[0])).toContain('NVIDIA H200');
  });
});

describe('what the driver of NVIDIA shows of', () => {
  /** A tree as that driver makes it, with character devices that anybody may make. */
  class DriverTree implements AsyncDisposable {
    readonly #root: string;

    private constructor(root: string) {
      this.#root = root;
    }

    static async open(): Promise<DriverTree> {
      const tree = new DriverTree(await mkdtemp(join(tmpdir(), 'berth-nvidia-')));
      await mkdir(join(tree.#root, 'dev', 'nvidia-caps'), { recursive: true });
      return tree;
    }

    async nodes(...names: string[]): Promise<void> {
      for (const name of names) await hostProgram(['mknod', join(this.#root, 'dev', name), 'c', '1', '5']);
    }

    async gpu(minor: number, address: string, excluded = 'No'): Promise<void> {
      const lines = {
        ...{
          Model: 'NVIDIA A100-SXM4-40GB',
          IRQ: '408',
          'GPU UUID': `GPU-edfee158-11c1-52b8-0517-92f30e7fac8${minor}`,
        },
        ...{ 'Video BIOS': '92.00.45.00.03', 'Bus Type': 'PCIe', 'DMA Size': '47 bits', 'DMA Mask': '0x7fffffffffff' },
        ...{ 'Bus Location': address, 'Device Minor': String(minor), 'GPU Excluded': excluded },
      };
      const text = Object.entries(lines).map(([key, value]) => `${key}: \t\t ${value}\n`);
      await this.#write(`proc/driver/nvidia/gpus/${address}/information`, text.join(''));
      await this.#write(`sys/bus/pci/devices/${address}/numa_node`, `${minor % 2}\n`);
    }

    /** `gi1/ci0`, with the minor number of its node. */
    async capability(gpu: number, path: string, minor: number): Promise<void> {
      const text = `DeviceFileMinor: ${minor}\nDeviceFileMode: 292\nDeviceFileModify: 1\n`;
      await this.#write(`proc/driver/nvidia/capabilities/gpu${gpu}/mig/${path}/access`, text);
    }

    /** `nvidia-smi` says this, and ends so. */
    async tool(words: string, exitCode = 0): Promise<void> {
      await this.#write('bin/nvidia-smi', `#!/bin/sh\necho '${words}'\necho "$@" >> "$0.asked"\nexit ${exitCode}\n`);
      await chmod(join(this.#root, 'bin/nvidia-smi'), 0o755);
    }

    async asked(): Promise<string> {
      return await readFile(join(this.#root, 'bin/nvidia-smi.asked'), 'utf8').catch(() => '');
    }

    async find(): Promise<GpuSet> {
      const [dev, proc, sys] = ['dev', 'proc', 'sys'].map((name) => join(this.#root, name));
      const path = join(this.#root, 'bin');
      return await findNvidia({ dev: dev ?? '', proc: proc ?? '', sys: sys ?? '' }, () => gpusInMigMode(path, signal));
    }

    async [Symbol.asyncDispose](): Promise<void> {
      await rm(this.#root, { recursive: true });
    }

    async #write(path: string, text: string): Promise<void> {
      await mkdir(join(this.#root, dirname(path)), { recursive: true });
      await writeFile(join(this.#root, path), text);
    }
  }

  const uuid = (minor: number): string => `GPU-edfee158-11c1-52b8-0517-92f30e7fac8${minor}`;
  const inContainer = ({ nodes }: Gpu): string[] => nodes.map(({ containerPath }) => containerPath);

  test('GPUs as a whole, one that it is to leave alone, one without a node', async () => {
    await using tree = await DriverTree.open();
    await tree.nodes('nvidia0', 'nvidia1', 'nvidia3', 'nvidiactl', 'nvidia-uvm', 'nvidia-uvm-tools', 'nvidia-modeset');
    await tree.nodes('nvidia-caps/nvidia-cap1', 'nvidia-caps/nvidia-cap2', 'nvidia-nvswitchctl');
    await tree.gpu(0, '0000:07:00.0');
    await tree.gpu(1, '0000:0f:00.0', 'Yes');
    await tree.gpu(2, '0000:47:00.0');
    await tree.gpu(3, '0000:4e:00.0');
    const { gpus, shared, notes } = await tree.find();
    expect(gpus.map(({ id, numaNodes }) => [id, ...numaNodes])).toEqual([
      [uuid(0), 0],
      [uuid(3), 1],
    ]);
    expect(gpus.map(inContainer)).toEqual([['/dev/nvidia0'], ['/dev/nvidia3']]);
    // Those of the machine's management are nobody's.
    expect(shared.map(({ containerPath }) => containerPath)).toEqual([
      ...['/dev/nvidiactl', '/dev/nvidia-uvm', '/dev/nvidia-uvm-tools', '/dev/nvidia-modeset'],
    ]);
    expect(notes).toEqual([
      'the GPU at 0000:0f:00.0 is not offered: the driver was told to leave it alone',
      expect.stringContaining('there is no node /dev/nvidia2'),
    ]);
  });

  test('a GPU that is divided: its compute instances, each with the nodes that open it', async () => {
    await using tree = await DriverTree.open();
    await tree.nodes('nvidia0', 'nvidia1', 'nvidiactl', 'nvidia-uvm');
    await tree.nodes(...[12, 13, 21, 22].map((minor) => `nvidia-caps/nvidia-cap${minor}`));
    await tree.gpu(0, '0000:07:00.0');
    await tree.gpu(1, '0000:0f:00.0');
    // As in the driver's table: gpu0/gi1/access 12, gpu0/gi1/ci0/access 13.
    for (const [path, minor] of Object.entries({
      gi1: 12,
      'gi1/ci0': 13,
      gi2: 21,
      'gi2/ci0': 22,
      gi3: 30,
      'gi3/ci0': 31,
    }))
      await tree.capability(0, path, minor);
    const { gpus, notes } = await tree.find();
    expect(gpus.map(({ id }) => id)).toEqual([`MIG-${uuid(0)}/1/0`, `MIG-${uuid(0)}/2/0`, uuid(1)]);
    expect(gpus.map(inContainer)).toEqual([
      ['/dev/nvidia0', '/dev/nvidia-caps/nvidia-cap12', '/dev/nvidia-caps/nvidia-cap13'],
      ['/dev/nvidia0', '/dev/nvidia-caps/nvidia-cap21', '/dev/nvidia-caps/nvidia-cap22'],
      ['/dev/nvidia1'],
    ]);
    expect(notes).toEqual([expect.stringContaining(`1 instances of ${uuid(0)} are not offered`)]);
  });

  test('a GPU that is to be divided and is not yet: not offered, the others are', async () => {
    await using tree = await DriverTree.open();
    await tree.nodes('nvidia0', 'nvidia1', 'nvidiactl');
    await tree.gpu(0, '0000:07:00.0');
    await tree.gpu(1, '0000:0f:00.0');
    const modes = `${uuid(0)}, Enabled\n${uuid(1)}, Disabled\nGPU-of-old, [N/A]`;
    const offered = async (): Promise<readonly string[]> => (await tree.find()).gpus.map(({ id }) => id);
    // Where nobody can be asked the GPU may be of use as it is.
    expect(await offered()).toEqual([uuid(0), uuid(1)]);
    await tree.tool(modes, 1);
    expect(await offered()).toEqual([uuid(0), uuid(1)]);
    await tree.tool(modes);
    expect(await tree.find()).toMatchObject({
      gpus: [{ id: uuid(1) }],
      notes: [
        expect.stringContaining('0000:07:00.0 is not offered: its MIG mode is on and it has no compute instances'),
      ],
    });
    // Asked once for all of them, and not at all for a GPU that shows its instances.
    expect((await tree.asked()).trimEnd().split('\n')).toHaveLength(2);
    await tree.nodes('nvidia-caps/nvidia-cap12', 'nvidia-caps/nvidia-cap13');
    for (const [path, minor] of [['gi1', 12] as const, ['gi1/ci0', 13] as const]) await tree.capability(0, path, minor);
    expect(await offered()).toEqual([`MIG-${uuid(0)}/1/0`, uuid(1)]);
  });
});

test('the first plugin of the README: two slots, and a device that breaks on SIGUSR1', async () => {
  await using world = await DeviceWorld.open();
  await using manager = await world.manager();
  const fuse = 'example.com/fuse';
  const plugin = world.own(new PluginProcess(examples.firstPlugin, [world.plugins]));
  plugin.start();
  expect(await ready(manager, fuse)).toMatchObject({ capacity: 2, allocatable: 2 });
  await manager.allocate(pod('pod-1', container('main', 1, 'regular', fuse)), signal);
  expect(manager.containerOptions('pod-1', 'main')).toMatchObject({
    devices: [{ hostPath: '/dev/fuse', containerPath: '/dev/fuse', permissions: 'rw' }],
    envs: { FUSE_SLOTS: 'fuse-0' },
  });
  plugin.signal('SIGUSR1');
  await eventually('the broken device', () => statusOf(manager, fuse)?.allocatable === 1);
});
