import { StepError } from '../executors/step-error.js';
import {
  divideQuantity,
  findContainer,
  quantityMilliValue,
  type Container,
  type Pod,
  type Quantity,
  type ResourceFieldSelector,
} from '../api/index.js';

/**
 * Value of a `resourceFieldRef` as a whole number, rounded up. A limit that is not set defaults to the pod's and then to what the
 * node can give (facts 12).
 */
export function resourceFieldValue(
  pod: Pod,
  ref: ResourceFieldSelector,
  ownContainer: string,
  allocatable: Readonly<Record<string, Quantity>>,
): string {
  const name = ref.containerName || ownContainer;
  const container = findContainer(pod, name)?.container as Container | undefined;
  if (!container)
    throw new StepError('CreateContainerConfigError', `resolve resourceFieldRef: the pod has no container ${name}`);
  const [list, ...rest] = ref.resource.split('.');
  const resource = rest.join('.');
  const quantity = pick(pod, container, list, resource, allocatable);
  if (quantity === undefined) {
    throw new StepError('CreateContainerConfigError', `resolve resourceFieldRef ${ref.resource}: no such resource`);
  }
  const divisor = ref.divisor === undefined || ref.divisor === '0' || ref.divisor === 0 ? '1' : ref.divisor;
  return String(resource === 'cpu' ? cpuValue(quantity, divisor) : divideQuantity(quantity, divisor));
}

/** CPU is exact to a thousandth only, as in the kubelet. */
function cpuValue(quantity: Quantity, divisor: Quantity): number {
  return Math.ceil(quantityMilliValue(quantity) / quantityMilliValue(divisor));
}

function pick(
  pod: Pod,
  container: Container,
  list: string | undefined,
  resource: string,
  allocatable: Readonly<Record<string, Quantity>>,
): Quantity | undefined {
  if (!/^(cpu|memory|ephemeral-storage|hugepages-.+)$/.test(resource)) return undefined;
  if (list === 'requests')
    return container.resources?.requests?.[resource] ?? container.resources?.limits?.[resource] ?? '0';
  if (list !== 'limits') return undefined;
  return (
    container.resources?.limits?.[resource] ?? pod.spec?.resources?.limits?.[resource] ?? allocatable[resource] ?? '0'
  );
}
