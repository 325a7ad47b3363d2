import { isExtendedResource } from '../../../deviceplugin/index.js';
import type { NodeStatus, ResourceList } from '../../api/index.js';

/**
 * What somebody else says that the node has, such as dongles an operator wrote into its capacity: pods may use all of it, and the scheduler
 * only gives what is allocatable as well. That is for the node to say, as a kubelet does.
 */
export function withOpaqueResources(own: NodeStatus, shown: NodeStatus | undefined): NodeStatus {
  const opaque = Object.entries(shown?.capacity ?? {}).filter(
    ([name]) => own.capacity?.[name] === undefined && isExtendedResource(name),
  );
  if (opaque.length === 0) return own;
  return { ...own, allocatable: { ...own.allocatable, ...Object.fromEntries(opaque) } };
}

/**
 * What is told of a machine that was made anew under an old name: its plugins are gone with their resources, and a pod that was given one
 * would run without it. Whoever has them registers again.
 */
export function staleResources(own: NodeStatus, shown: NodeStatus | undefined): readonly string[] {
  return Object.entries(shown?.capacity ?? {})
    .filter(([name, amount]) => own.capacity?.[name] === undefined && amount !== '0' && isExtendedResource(name))
    .map(([name]) => name);
}

export function withoutStale(status: NodeStatus, stale: readonly string[]): NodeStatus {
  if (stale.length === 0) return status;
  const none = Object.fromEntries(stale.map((name) => [name, '0'])) as ResourceList;
  return { ...status, capacity: { ...status.capacity, ...none }, allocatable: { ...status.allocatable, ...none } };
}
