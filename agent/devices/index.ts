/** Devices, dynamic resources and storage drivers: what plugins bring to this node, from the side of pods. */
export { openDevices, type Devices, type DevicesUsers, type OpenDevicesDeps } from './open-devices.js';
export { devicesUsers } from './devices-users.js';
export { PodDevices, type DeviceHealth, type EndingPod, type PodDevicesUsers } from './pod-devices.js';
export type { DeviceCounts, DeviceReading } from './device-counts.js';
export type { PluginReport } from './plugin-rows.js';
export type { ExclusiveResources } from './pod-resources-facts.js';
export { LazyCdi } from './lazy-cdi.js';
