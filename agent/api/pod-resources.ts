import type { Container, Pod, Quantity, ResourceRequirements } from './generated/types.js';
import { isSidecar } from './pod-containers.js';
import { addQuantities, canonicalQuantity, compareQuantities, exactQuantity } from './quantity.js';

/** Amounts by resource name: `cpu`, `memory`, `hugepages-2Mi`, `example.com/gpu`. */
export type ResourceList = Record<string, Quantity>;
export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

export interface PodResourcesOptions {
  /** Leave the runtime class's overhead out. */
  readonly excludeOverhead?: boolean | undefined;
  /** Look at the containers only, even where the pod sets resources for itself. */
  readonly skipPodLevel?: boolean | undefined;
}

export function addResourceLists(a: ResourceList, b: ResourceList): ResourceList {
  return merge(a, b, addQuantities);
}

/** For each resource the larger of the two. */
export function maxResourceLists(a: ResourceList, b: ResourceList): ResourceList {
  return merge(a, b, (x, y) => (compareQuantities(x, y) >= 0 ? x : y));
}

function merge(a: ResourceList, b: ResourceList, join: (x: Quantity, y: Quantity) => Quantity): ResourceList {
  const result: ResourceList = { ...a };
  for (const [name, quantity] of Object.entries(b)) {
    const present = result[name];
    result[name] = present === undefined ? canonicalQuantity(quantity) : join(present, quantity);
  }
  return result;
}

/** Resources a pod may set as a whole. */
export function isPodLevelResource(name: string): boolean {
  return name === 'cpu' || name === 'memory' || name.startsWith('hugepages-');
}

const picksRequests = (resources: ResourceRequirements | undefined): ResourceList => resources?.requests ?? {};
const picksLimits = (resources: ResourceRequirements | undefined): ResourceList => resources?.limits ?? {};

/**
 * The most the containers use at any time: all regular containers and sidecars together, or one phase of the init
 * containers with the sidecars started before it.
 */
function aggregate(pod: Pod, pick: (resources: ResourceRequirements | undefined) => ResourceList): ResourceList {
  const { containers = [], initContainers = [] } = pod.spec ?? {};
  const total = (list: readonly Container[]): ResourceList =>
    list.reduce<ResourceList>((sum, container) => addResourceLists(sum, pick(container.resources)), {});
  let sidecars: ResourceList = {};
  let initPeak: ResourceList = {};
  for (const container of initContainers) {
    const phase = addResourceLists(sidecars, pick(container.resources));
    if (isSidecar(container)) sidecars = phase;
    initPeak = maxResourceLists(initPeak, phase);
  }
  return maxResourceLists(addResourceLists(total(containers), sidecars), initPeak);
}

/** Requests of the containers alone. */
export const aggregateContainerRequests = (pod: Pod): ResourceList => aggregate(pod, picksRequests);
/** Limits of the containers alone; a resource that one container does not limit is the sum of those that do. */
export const aggregateContainerLimits = (pod: Pod): ResourceList => aggregate(pod, picksLimits);

function withPodLevel(containers: ResourceList, podLevel: ResourceList | undefined): ResourceList {
  const own = Object.entries(podLevel ?? {}).filter(([name]) => isPodLevelResource(name));
  return { ...containers, ...Object.fromEntries(own) };
}

/** What the pod asks of the node: max(regular + sidecars, init phases), replaced by pod-level requests, plus overhead. */
export function podRequests(pod: Pod, options: PodResourcesOptions = {}): ResourceList {
  const containers = aggregateContainerRequests(pod);
  const requests = options.skipPodLevel === true ? containers : withPodLevel(containers, pod.spec?.resources?.requests);
  return options.excludeOverhead === true ? requests : addResourceLists(requests, pod.spec?.overhead ?? {});
}

/** As `podRequests` for limits; overhead is added only to resources that are limited. */
export function podLimits(pod: Pod, options: PodResourcesOptions = {}): ResourceList {
  const containers = aggregateContainerLimits(pod);
  const limits = options.skipPodLevel === true ? containers : withPodLevel(containers, pod.spec?.resources?.limits);
  if (options.excludeOverhead === true) return limits;
  const overhead = Object.entries(pod.spec?.overhead ?? {}).filter(([name]) => isPositive(limits[name]));
  return addResourceLists(limits, Object.fromEntries(overhead));
}

/** The requests of one container, as the runtime shall see them: a limit stands in for a missing request. */
export function effectiveRequests(container: Pick<Container, 'resources'>): ResourceList {
  return { ...container.resources?.limits, ...container.resources?.requests };
}

/**
 * True when the pod as a whole is limited in `name`: the pod sets the limit itself or every container does. Only then
 * may the pod's cgroup get a limit.
 */
export function isPodLimited(pod: Pod, name: string): boolean {
  if (isPositive(pod.spec?.resources?.limits?.[name])) return true;
  const { containers = [], initContainers = [] } = pod.spec ?? {};
  return [...containers, ...initContainers].every((container) => isPositive(container.resources?.limits?.[name]));
}

export function hasPodLevelResources(pod: Pod): boolean {
  const { requests = {}, limits = {} } = pod.spec?.resources ?? {};
  return [...Object.keys(requests), ...Object.keys(limits)].some(isPodLevelResource);
}

function isPositive(quantity: Quantity | undefined): boolean {
  return quantity !== undefined && exactQuantity(quantity).nanos > 0n;
}

/** The recorded class wins: it never changes during a pod's life, not even by a resize. */
export function podQosClass(pod: Pod): QosClass {
  return pod.status?.qosClass ?? computeQosClass(pod);
}

/** From the spec alone, over CPU and memory; zero counts as not set, ephemeral containers do not count. */
export function computeQosClass(pod: Pod): QosClass {
  const { containers = [], initContainers = [], resources } = pod.spec ?? {};
  const parts =
    resources === undefined ? [...containers, ...initContainers].map((each) => each.resources) : [resources];
  const sum = (pick: (part: ResourceRequirements | undefined) => ResourceList): ResourceList =>
    parts.reduce<ResourceList>((all, part) => addResourceLists(all, qosPart(pick(part))), {});
  const requests = sum(picksRequests);
  const limits = sum(picksLimits);
  if (Object.keys(requests).length === 0 && Object.keys(limits).length === 0) return 'BestEffort';
  const allLimited = parts.every((part) => Object.keys(qosPart(picksLimits(part))).length === 2);
  const equal = ['cpu', 'memory'].every((name) => {
    const request = requests[name];
    const limit = limits[name];
    return request !== undefined && limit !== undefined && compareQuantities(request, limit) === 0;
  });
  return allLimited && equal ? 'Guaranteed' : 'Burstable';
}

function qosPart(list: ResourceList): ResourceList {
  const kept = Object.entries(list).filter(
    ([name, amount]) => (name === 'cpu' || name === 'memory') && isPositive(amount),
  );
  return Object.fromEntries(kept);
}
