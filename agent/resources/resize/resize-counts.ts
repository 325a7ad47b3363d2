import { allContainers, compareQuantities, type Pod, type Quantity } from '../../api/index.js';

/** What made the node try again what had to wait, in the kubelet's words. */
export type RetryTrigger = 'pod_resized' | 'pod_updated' | 'pods_removed' | 'pod_terminated';

/** What is told of resizes. Never throws. */
export interface ResizeCounts {
  /** One amount of a container is asked for anew. */
  asked(change: RequestedChange): void;
  /** One that this node never grants, for a reason that the kubelet counts. */
  refused(detail: string): void;
  /** One that had to wait is granted. */
  grantedLate(trigger: RetryTrigger): void;
}

export interface RequestedChange {
  readonly resource: 'cpu' | 'memory';
  readonly requirement: 'requests' | 'limits';
  readonly operation: 'add' | 'remove' | 'increase' | 'decrease';
}

export const noResizeCounts: ResizeCounts = { asked: () => {}, refused: () => {}, grantedLate: () => {} };

/** Of the containers that both have; an amount of zero is none. */
export function requestedChanges(from: Pod, to: Pod): readonly RequestedChange[] {
  if (from === to) return [];
  const before = new Map(allContainers(from).map(({ path, container }) => [path, container.resources]));
  return allContainers(to).flatMap(({ kind, path, container }) => {
    const old = before.get(path);
    if (kind === 'ephemeral' || !before.has(path) || old === container.resources) return [];
    return (['memory', 'cpu'] as const).flatMap((resource) =>
      (['requests', 'limits'] as const).flatMap((requirement) => {
        const operation = operationOf(old?.[requirement]?.[resource], container.resources?.[requirement]?.[resource]);
        return operation === undefined ? [] : [{ resource, requirement, operation }];
      }),
    );
  });
}

function operationOf(from: Quantity = '0', to: Quantity = '0'): RequestedChange['operation'] | undefined {
  const grows = compareQuantities(to, from);
  if (grows === 0) return undefined;
  if (compareQuantities(to, '0') === 0) return 'remove';
  if (compareQuantities(from, '0') === 0) return 'add';
  return grows > 0 ? 'increase' : 'decrease';
}
