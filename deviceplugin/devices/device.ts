import type { Device as WireDevice } from '../../proto/generated/deviceplugin-v1beta1.js';

export interface Device {
  readonly id: string;
  readonly healthy: boolean;
  /** Empty when the plugin names none. */
  readonly numaNodes: readonly number[];
}

/** The devices of one resource in the order of their owner, by id. */
export type DeviceList = ReadonlyMap<string, Device>;

export const noDevices: DeviceList = new Map();

/**
 * What a plugin listed. Entries without an id are left out and said so; an id that comes twice counts once, the last
 * time; every health but `Healthy` is unhealthy.
 */
export function devicesFromWire(listed: readonly WireDevice[]): { devices: DeviceList; problems: readonly string[] } {
  const devices = new Map<string, Device>();
  const problems: string[] = [];
  for (const device of listed) {
    const id = device.ID ?? '';
    if (id === '') {
      problems.push('a device without an ID');
      continue;
    }
    if (devices.has(id)) problems.push(`device ${id} listed twice`);
    const numaNodes = (device.topology?.nodes ?? []).map((node) => node.ID ?? 0).filter((node) => node >= 0);
    devices.set(id, { id, healthy: device.health === 'Healthy', numaNodes: [...new Set(numaNodes)] });
  }
  return { devices, problems };
}

export function healthyCount(devices: DeviceList): number {
  let count = 0;
  for (const device of devices.values()) if (device.healthy) count++;
  return count;
}

/** Devices that appeared, went, or changed their health. */
export function changedDevices(before: DeviceList, after: DeviceList): ReadonlySet<string> {
  const changed = new Set<string>();
  for (const device of after.values()) {
    if (before.get(device.id)?.healthy !== device.healthy) changed.add(device.id);
  }
  for (const id of before.keys()) if (!after.has(id)) changed.add(id);
  return changed;
}
