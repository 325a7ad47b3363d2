import { noDevices, healthyCount, type DeviceList } from './device.js';
import type { DeviceEndpoint } from './endpoint.js';

export type ResourceState =
  /** Known from the checkpoint; its plugin has not come back since the start. */
  | { readonly kind: 'awaited'; readonly since: number }
  /** Connected, and has not listed its devices yet. */
  | { readonly kind: 'listing'; readonly since: number }
  | { readonly kind: 'ready' }
  | { readonly kind: 'stopped'; readonly since: number; readonly reason: string };

export interface ResourceEntry {
  readonly resource: string;
  readonly state: ResourceState;
  readonly devices: DeviceList;
  /** The newest; stays while it is stopped, for it may come back by itself. */
  readonly endpoint: DeviceEndpoint | undefined;
  /** What its plugin last asked for; known also while the plugin is away. */
  readonly preStartRequired: boolean;
}

export interface ResourceCapacity {
  readonly resource: string;
  /** All devices. */
  readonly capacity: number;
  /** Healthy devices of a plugin that is there. */
  readonly allocatable: number;
}

export const newEntry = (resource: string, state: ResourceState): ResourceEntry => ({
  resource,
  state,
  devices: noDevices,
  endpoint: undefined,
  preStartRequired: false,
});

/** When a resource that is away counts as gone; undefined while it is there. */
export function goneAt(state: ResourceState, graceMs: number): number | undefined {
  return state.kind === 'ready' ? undefined : state.since + graceMs;
}

export function isGone(state: ResourceState, now: number, graceMs: number): boolean {
  // A plugin that is connected is slow, not gone.
  return state.kind !== 'listing' && now >= (goneAt(state, graceMs) ?? Infinity);
}

/**
 * What the node offers. A stopped plugin keeps its capacity for the grace period and then has 0; a resource that was
 * there before is reported as 0 and never left out, so that the node's status loses it.
 */
export function capacityOf(entry: ResourceEntry, now: number, graceMs: number): ResourceCapacity {
  const gone = isGone(entry.state, now, graceMs);
  return {
    resource: entry.resource,
    capacity: gone ? 0 : entry.devices.size,
    allocatable: entry.state.kind === 'ready' ? healthyCount(entry.devices) : 0,
  };
}

/** Why devices of this resource cannot be handed out now, for a person; undefined when they can. */
export function awayReason(entry: ResourceEntry): string | undefined {
  const { resource, state } = entry;
  switch (state.kind) {
    case 'ready':
      return undefined;
    case 'awaited':
      return `the device plugin of ${resource} was here before and has not registered again yet`;
    case 'listing':
      return `the device plugin of ${resource} has not listed its devices yet`;
    case 'stopped':
      return `the device plugin of ${resource} stopped: ${state.reason}`;
  }
}
