import type { DeviceWait } from './wait-for-plugin.js';
import { grantedIds, type Grants } from '../devices/grants.js';

/** `init` ends before the next container starts; `sidecar` is an init container that stays. */
export type ContainerKind = 'init' | 'sidecar' | 'regular';

export interface ContainerRequest {
  readonly name: string;
  readonly kind: ContainerKind;
  /**
   * How many devices of each extended resource, from `resources.limits`; names nobody offers devices of are passed over.
   * Leave out what dynamic resource allocation provides.
   */
  readonly limits: Readonly<Record<string, number>>;
  /** It runs already (the agent restarted): it has its devices, whatever its plugin does now. */
  readonly running?: boolean | undefined;
}

export interface PodAdmission {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Init containers and sidecars first, in their order; then the others. */
  readonly containers: readonly ContainerRequest[];
  /**
   * Asked for each container just before its devices are chosen, when those of the containers before it are: the NUMA
   * nodes the topology manager wants, undefined for no wish. What it throws ends the allocation.
   */
  readonly affinity?:
    | ((container: ContainerRequest) => readonly number[] | undefined | Promise<readonly number[] | undefined>)
    | undefined;
}

export type AllocateResult =
  /** `ignored`: resources the pod asks for and nobody here ever offered. */
  { readonly kind: 'allocated'; readonly ignored: readonly string[] } | DeviceWait;

/**
 * The devices of init containers before `container` that it may take over. What a sidecar or a regular container took is
 * its own from then on.
 */
export function reusableDevices(
  pod: Pick<PodAdmission, 'uid' | 'containers'>,
  container: string,
  resource: string,
  grants: Grants,
): ReadonlySet<string> {
  const reusable = new Set<string>();
  for (const { name, kind } of pod.containers) {
    if (name === container) break;
    const grant = grants.get(pod.uid, name, resource);
    if (grant === undefined) continue;
    for (const id of grantedIds(grant)) {
      if (kind === 'init') reusable.add(id);
      else reusable.delete(id);
    }
  }
  return reusable;
}
