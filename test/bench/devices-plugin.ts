// The device plugin of the benchmark, as a process of its own as plugins are: `node devices-plugin.js FOLDER`.
import { ServedDevicePlugin } from '../../deviceplugin/index.js';
import { benchDevices, benchResource } from './devices-allocation.js';

const [, , folder = ''] = process.argv;
await using _plugin = await ServedDevicePlugin.serve(
  { resource: benchResource, folder },
  { allocate: (ids) => ({ envs: { GPUS: ids.join(',') } }) },
  benchDevices,
);
await new Promise((resolve) => process.once('SIGTERM', resolve));
