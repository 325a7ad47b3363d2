import { podRequests, quantityMilliValue, quantityValue, type Pod, type Quantity } from '../api/index.js';

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
      Object.entries(podRequests(pod)).map(([name, quantity]) => [name, amountOf(name, quantity)]),
    );
    amounts.set('pods', 1);
    this.#known.set(pod, amounts);
    return amounts;
  }
}
