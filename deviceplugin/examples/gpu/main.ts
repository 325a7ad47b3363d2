import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { ServedDevicePlugin, type Device } from '../../index.js';
import { findNvidia } from './find-nvidia.js';
import { unwellGpus, watchHealth } from './gpu-health.js';
import { preferNear, type GpuSet } from './gpu.js';
import { gpusInMigMode } from './mig-mode.js';
import { makeSimulatedGpus } from './simulated-gpus.js';

const usage = `A GPU device plugin: the NVIDIA GPUs of this host, or simulated ones where there are none.

  --resource NAME       default nvidia.com/gpu
  --plugin-folder PATH  default /var/lib/kubelet/device-plugins
  --simulate N          N simulated GPUs, also where there are real ones; default: 4 where there are none
  --numa-nodes N        spread simulated GPUs over N NUMA nodes; default 0: none
  --folder PATH         for simulated GPUs and the control file; default /run/berth-gpus
  --dev, --proc, --sys  other roots to look for GPUs in

The file FOLDER/unhealthy lists GPUs that are not well, one id a line. It may change at any time.`;

const { values } = parseArgs({
  options: {
    resource: { type: 'string', default: 'nvidia.com/gpu' },
    'plugin-folder': { type: 'string', default: '/var/lib/kubelet/device-plugins' },
    simulate: { type: 'string' },
    'numa-nodes': { type: 'string', default: '0' },
    folder: { type: 'string', default: '/run/berth-gpus' },
    dev: { type: 'string', default: '/dev' },
    proc: { type: 'string', default: '/proc' },
    sys: { type: 'string', default: '/sys' },
    help: { type: 'boolean', default: false },
  },
});

async function gpusOfThisHost(signal: AbortSignal): Promise<GpuSet> {
  const real = await findNvidia(values, () => gpusInMigMode(process.env['PATH'] ?? '/usr/sbin:/usr/bin', signal));
  if (values.simulate === undefined && real.gpus.length > 0) return real;
  for (const note of real.notes) console.log(note);
  const count = Number(values.simulate ?? 4);
  return await makeSimulatedGpus({ folder: values.folder, count, numaNodes: Number(values['numa-nodes']) }, signal);
}

async function main(): Promise<void> {
  const set = await gpusOfThisHost(new AbortController().signal);
  const controlFile = join(values.folder, 'unhealthy');
  await mkdir(dirname(controlFile), { recursive: true });
  const devices = async (): Promise<readonly Device[]> => {
    const unwell = await unwellGpus(set, controlFile);
    return set.gpus.map(({ id, numaNodes }) => ({ id, numaNodes, healthy: !unwell.has(id) }));
  };
  const say = (line: string): void => console.log(line);
  for (const note of set.notes) say(note);
  for (const gpu of set.gpus) say(`found ${gpu.id} (${gpu.model}), NUMA nodes [${gpu.numaNodes.join(' ')}]`);

  const byId = new Map(set.gpus.map((gpu) => [gpu.id, gpu]));
  const plugin = await ServedDevicePlugin.serve(
    { resource: values.resource, folder: values['plugin-folder'], log: say },
    {
      allocate(ids) {
        const gpus = ids.map((id) => {
          const gpu = byId.get(id);
          if (gpu === undefined) throw new Error(`there is no GPU ${id}`);
          return gpu;
        });
        // Instances of one GPU have its node in common.
        const nodes = new Map(
          [...gpus.flatMap((gpu) => gpu.nodes), ...set.shared].map((node) => [node.hostPath, node]),
        );
        return {
          devices: [...nodes.values()].map((node) => ({ ...node, permissions: 'rw' })),
          envs: { NVIDIA_VISIBLE_DEVICES: ids.join(',') },
        };
      },
      preferred: (request) => preferNear(set, request),
    },
    await devices(),
  );
  let telling = Promise.resolve();
  const tell = async (): Promise<void> => plugin.update(await devices());
  // One after another: an older look must not come last.
  const watching = watchHealth(set, controlFile, () => {
    telling = telling.then(tell).catch((err: unknown) => console.error(String(err)));
  });
  const stop = (): void => {
    watching[Symbol.dispose]();
    void plugin[Symbol.asyncDispose]().then(() => process.exit(0));
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

if (values.help) {
  console.log(usage);
} else {
  await main();
}
