// Offers two halves of /dev/fuse as example.com/fuse. Run it next to berth or a kubelet: node first-plugin.js
import { ServedDevicePlugin } from '../index.js';

const folder = process.argv[2] ?? '/var/lib/kubelet/device-plugins';

const devices = [
  { id: 'fuse-0', healthy: true, numaNodes: [] },
  { id: 'fuse-1', healthy: true, numaNodes: [] },
];

const plugin = await ServedDevicePlugin.serve(
  { resource: 'example.com/fuse', folder, log: (line) => console.log(line) },
  {
    // Called when a pod with `limits: {example.com/fuse: 1}` is admitted.
    allocate: (ids) => ({
      devices: [{ hostPath: '/dev/fuse', containerPath: '/dev/fuse', permissions: 'rw' }],
      envs: { FUSE_SLOTS: ids.join(',') },
    }),
  },
  devices,
);

// A device that breaks: kill -USR1 makes fuse-1 unhealthy, and healthy again the next time. Pods see it in their status.
process.on('SIGUSR1', () => {
  const broken = devices[1];
  if (broken !== undefined) broken.healthy = !broken.healthy;
  plugin.update(devices);
});

const stop = (): void => void plugin[Symbol.asyncDispose]().then(() => process.exit(0));
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
