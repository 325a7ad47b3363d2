import {
  podRequests,
  quantityMilliValue,
  quantityValue,
  type Container,
  type Pod,
  type Quantity,
} from '../api/index.js';

/** Amounts by resource as whole numbers: thousandths of a CPU, bytes, pieces. `pods` is always 1. */
export type Amounts = ReadonlyMap<string, number>;

export function amountOf(resource: string, quantity: Quantity): number {
  return resource === 'cpu' ? quantityMilliValue(quantity) : quantityValue(quantity);
}

/** Works out each pod's requests once: an admission looks at every pod of the node. */
export class PodAmounts {
  readonly #known = new WeakMap<Pod, Amounts>();

  of(pod: Pod): Amounts {
    const known = this.#known.get(pod);
    if (known) return known;
    const amounts = new Map(
      Object.entries(podRequests(withoutClaimed(pod))).map(([name, quantity]) => [name, amountOf(name, quantity)]),
    );
    amounts.set('pods', 1);
    this.#known.set(pod, amounts);
    return amounts;
  }
}

/** Extended resources that a claim stands for come from its driver, not out of what the node has of that name. */
function withoutClaimed(pod: Pod): Pod {
  const mappings = pod.status?.extendedResourceClaimStatus?.requestMappings ?? [];
  if (mappings.length === 0 || !pod.spec) return pod;
  const { spec } = pod;
  const without = (container: Container): Container => {
    const claimed = new Set(
      mappings.filter(({ containerName }) => containerName === container.name).map(({ resourceName }) => resourceName),
    );
    const requests = Object.entries(container.resources?.requests ?? {}).filter(([name]) => !claimed.has(name));
    return { ...container, resources: { ...container.resources, requests: Object.fromEntries(requests) } };
  };
  const { containers, initContainers } = spec;
  return {
    ...pod,
    spec: {
      ...spec,
      containers: containers.map(without),
      ...(initContainers && { initContainers: initContainers.map(without) }),
    },
  };
}
