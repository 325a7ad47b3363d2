import { reusableDevices, type ContainerRequest, type PodAdmission } from '../allocation/admission.js';
import { topologyHints, type TopologyHint } from '../allocation/topology-hints.js';
import { grantedIds, type Grant, type Grants } from '../devices/grants.js';
import type { ResourceEntry } from '../devices/resource-table.js';

export type HintsByResource = ReadonlyMap<string, readonly TopologyHint[] | undefined>;

export interface HintDeps {
  readonly numaNodes: readonly number[];
  readonly grants: Grants;
  readonly entry: (resource: string) => ResourceEntry | undefined;
}

/** For one container, when the devices of those before it are chosen. */
export function containerHints(pod: PodAdmission, container: string, deps: HintDeps): HintsByResource {
  const { grants } = deps;
  const request = pod.containers.find((candidate) => candidate.name === container);
  return hintsFor(request?.limits ?? {}, deps, (resource) => {
    const held = grants.get(pod.uid, container, resource);
    return { held: held === undefined ? [] : [held], reusable: reusableDevices(pod, container, resource, grants) };
  });
}

/** For a pod as a whole: what all its containers together ask for, before any of it is chosen. */
export function podHints(pod: PodAdmission, deps: HintDeps): HintsByResource {
  return hintsFor(podRequest(pod.containers), deps, (resource) => ({
    held: deps.grants.ofPod(pod.uid).filter((grant) => grant.resource === resource),
    reusable: new Set(),
  }));
}

function hintsFor(
  counts: Readonly<Record<string, number>>,
  { grants, entry, numaNodes }: HintDeps,
  own: (resource: string) => { readonly held: readonly Grant[]; readonly reusable: ReadonlySet<string> },
): HintsByResource {
  const hints = new Map<string, readonly TopologyHint[] | undefined>();
  for (const [resource, count] of Object.entries(counts)) {
    const { devices } = entry(resource) ?? {};
    if (devices === undefined || count <= 0) continue;
    const { held, reusable } = own(resource);
    const heldIds = [...new Set(held.flatMap(grantedIds))];
    const inUse = grants.inUse(resource);
    const free = [...devices.values()].filter((device) => device.healthy && !inUse.has(device.id)).map(({ id }) => id);
    // What it holds already is what it gets; another number than asked for can never be served.
    const hint = (): readonly TopologyHint[] | undefined =>
      topologyHints({
        count,
        devices,
        available: new Set(heldIds.length > 0 ? heldIds : free),
        reusable: heldIds.length > 0 ? new Set() : reusable,
        machineNodes: numaNodes,
      });
    hints.set(resource, heldIds.length > 0 && heldIds.length !== count ? [] : hint());
  }
  return hints;
}

/** Init containers that end make room for what follows; sidecars stay. */
export function podRequest(containers: readonly ContainerRequest[]): Readonly<Record<string, number>> {
  const totals: Record<string, number> = {};
  for (const resource of new Set(containers.flatMap(({ limits }) => Object.keys(limits)))) {
    let sidecars = 0;
    let most = 0;
    let regular = 0;
    for (const { kind, limits } of containers) {
      const count = limits[resource] ?? 0;
      if (kind === 'regular') regular += count;
      else {
        most = Math.max(most, sidecars + count);
        if (kind === 'sidecar') sidecars += count;
      }
    }
    totals[resource] = Math.max(most, sidecars + regular);
  }
  return totals;
}
