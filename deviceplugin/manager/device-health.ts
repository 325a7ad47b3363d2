import { grantedIds, type Grants } from '../devices/grants.js';
import { awayReason, type ResourceEntry } from '../devices/resource-table.js';

/** An entry of `status.containerStatuses[].allocatedResourcesStatus`. */
export interface AllocatedResourceStatus {
  readonly name: string;
  readonly resources: readonly AllocatedDeviceStatus[];
}

export interface AllocatedDeviceStatus {
  readonly resourceID: string;
  readonly health: 'Healthy' | 'Unhealthy' | 'Unknown';
  readonly message?: string | undefined;
}

/**
 * The health of the devices a container holds: what the plugin last said, `Unhealthy` for a device it does not list any
 * more, and `Unknown` while the plugin is away: nobody watches the device then.
 */
export function containerHealth(
  podUid: string,
  container: string,
  grants: Grants,
  entry: (resource: string) => ResourceEntry | undefined,
): readonly AllocatedResourceStatus[] {
  return grants
    .ofContainer(podUid, container)
    .filter((grant) => grant.response !== undefined)
    .map((grant) => ({
      name: grant.resource,
      resources: grantedIds(grant).map((id) => deviceHealth(id, grant.resource, entry(grant.resource))),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function deviceHealth(id: string, resource: string, entry: ResourceEntry | undefined): AllocatedDeviceStatus {
  const away = entry === undefined ? `nobody offers ${resource} on this node any more` : awayReason(entry);
  if (away !== undefined) return { resourceID: id, health: 'Unknown', message: away };
  const device = entry?.devices.get(id);
  if (device === undefined) {
    return {
      resourceID: id,
      health: 'Unhealthy',
      message: `the device plugin of ${resource} does not list it any more`,
    };
  }
  return { resourceID: id, health: device.healthy ? 'Healthy' : 'Unhealthy' };
}
