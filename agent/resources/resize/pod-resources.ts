import {
  allContainers,
  compareQuantities,
  podRequests,
  quantityMilliValue,
  quantityValue,
  type Container,
  type Pod,
  type Quantity,
  type ResourceRequirements,
} from '../../api/index.js';

/** The part of a pod that can be changed while it runs: the resources of its containers and its own. */
export interface PodResources {
  readonly containers: ReadonlyMap<string, ResourceRequirements>;
  readonly pod: ResourceRequirements | undefined;
}

export function resourcesOf(pod: Pod): PodResources {
  const containers = new Map<string, ResourceRequirements>();
  for (const { kind, container } of allContainers(pod))
    if (kind !== 'ephemeral') containers.set(container.name, container.resources ?? {});
  return { containers, pod: pod.spec?.resources };
}

/** The pod with these resources in place of its own; the very object where that changes nothing. */
export function withResources(pod: Pod, resources: PodResources): Pod {
  const { spec } = pod;
  if (!spec || hasResources(pod, resources)) return pod;
  const swap = (container: Container): Container => {
    const own = resources.containers.get(container.name);
    return own && !sameRequirements(own, container.resources) ? { ...container, resources: own } : container;
  };
  return {
    ...pod,
    spec: {
      ...spec,
      containers: spec.containers.map(swap),
      ...(spec.initContainers && { initContainers: spec.initContainers.map(swap) }),
      ...((spec.resources ?? resources.pod) !== undefined && { resources: resources.pod }),
    },
  };
}

export function hasResources(pod: Pod, resources: PodResources): boolean {
  if (!sameRequirements(pod.spec?.resources, resources.pod)) return false;
  return allContainers(pod).every(({ kind, container }) => {
    const own = kind === 'ephemeral' ? undefined : resources.containers.get(container.name);
    return !own || sameRequirements(own, container.resources);
  });
}

export function sameRequirements(a: ResourceRequirements = {}, b: ResourceRequirements = {}): boolean {
  return a === b || (sameList(a.requests, b.requests) && sameList(a.limits, b.limits));
}

type List = Readonly<Record<string, Quantity>>;

function sameList(a: List = {}, b: List = {}): boolean {
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => {
      const [own, other] = [a[name], b[name]];
      return own !== undefined && other !== undefined && (own === other || compareQuantities(own, other) === 0);
    })
  );
}

/** What of CPU and memory differs, by the words of a resize policy. */
export function changedResources(
  a: ResourceRequirements = {},
  b: ResourceRequirements = {},
): ReadonlySet<'cpu' | 'memory'> {
  const changed = new Set<'cpu' | 'memory'>();
  if (a === b) return changed;
  for (const name of ['cpu', 'memory'] as const)
    for (const list of ['requests', 'limits'] as const)
      if (amount(name, a[list]?.[name]) !== amount(name, b[list]?.[name])) changed.add(name);
  return changed;
}

const amount = (name: 'cpu' | 'memory', quantity: Quantity = '0'): number =>
  name === 'cpu' ? quantityMilliValue(quantity) : quantityValue(quantity);

/** True when the container takes such a change only by a new start. */
export function needsRestart(container: Container, changed: ReadonlySet<string>): boolean {
  return (container.resizePolicy ?? []).some(
    ({ resourceName, restartPolicy }) => changed.has(resourceName) && restartPolicy === 'RestartContainer',
  );
}

/** True when the pod as a whole asks for more CPU or memory than before. */
export function asksForMore(from: Pod, to: Pod): boolean {
  const [before, after] = [podRequests(from), podRequests(to)];
  return (['cpu', 'memory'] as const).some((name) => amount(name, after[name]) > amount(name, before[name]));
}
