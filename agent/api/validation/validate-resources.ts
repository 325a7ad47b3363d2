import type { FieldProblems } from './field-problems.js';
import type {
  Container,
  ContainerResizePolicy,
  Pod,
  PodSpec,
  Quantity,
  ResourceRequirements,
} from '../generated/types.js';
import { dnsLabel, qualifiedName } from './name-rules.js';
import { aggregateContainerLimits, aggregateContainerRequests, isPodLevelResource } from '../pod-resources.js';
import { fieldPath } from '../problem.js';
import { compareQuantities, exactQuantity } from '../quantity.js';

const isHugePages = (name: string): boolean => name.startsWith('hugepages-');
/** Extended resources and huge pages cannot be given out twice: request and limit are one. */
const mayOvercommit = (name: string): boolean =>
  !isHugePages(name) && (!name.includes('/') || /(^|\.)kubernetes\.io\//.test(name));

export function validateContainerResources(
  problems: FieldProblems,
  container: Pick<Container, 'resources'>,
  claimNames: ReadonlySet<string>,
  path: string,
): void {
  validateRequirements(problems, container.resources, path, validateContainerResourceName);
  for (const [index, claim] of (container.resources?.claims ?? []).entries()) {
    const at = `${path}.claims[${index}]`;
    if (claim.name === '') problems.required(at);
    else if (!claimNames.has(claim.name)) {
      const names = claimNames.size === 0 ? ' which is empty' : `: ${[...claimNames].join(', ')}`;
      problems.notFound(at, claim.name, `must be one of the names in pod.spec.resourceClaims${names}`);
    }
    const others = container.resources?.claims?.slice(0, index) ?? [];
    const same = others.some(
      (other) => other.name === claim.name && (other.request === claim.request || !other.request || !claim.request),
    );
    if (same && claim.name !== '') problems.duplicate(at, claim.name);
    if (claim.request !== undefined && claim.request !== '') {
      problems.rules(`${at}.request`, claim.request, dnsLabel(claim.request));
    }
  }
}

function validateRequirements(
  problems: FieldProblems,
  requirements: ResourceRequirements | undefined,
  path: string,
  validateName: (problems: FieldProblems, name: string, path: string) => void,
): void {
  const { requests = {}, limits = {} } = requirements ?? {};
  for (const [list, entries] of [['limits', limits] as const, ['requests', requests] as const]) {
    for (const [name, quantity] of Object.entries(entries)) {
      const at = fieldPath(`${path}.${list}`, name);
      validateName(problems, name, at);
      validateAmount(problems, name, quantity, at);
    }
  }
  for (const [name, request] of Object.entries(requests)) {
    const at = fieldPath(`${path}.requests`, name);
    const limit = limits[name];
    if (limit === undefined) {
      if (!mayOvercommit(name)) {
        problems.required(`${path}.limits`, 'Limit must be set for non overcommitable resources');
      }
    } else if (compareQuantities(request, limit) !== 0 && !mayOvercommit(name)) {
      problems.invalid(at, request, `must be equal to ${name} limit of ${limit}`);
    } else if (compareQuantities(request, limit) > 0) {
      problems.invalid(at, request, `must be less than or equal to ${name} limit of ${limit}`);
    }
  }
  const names = [...Object.keys(limits), ...Object.keys(requests)];
  if (names.some(isHugePages) && !names.some((name) => name === 'cpu' || name === 'memory')) {
    problems.forbidden(path, 'HugePages require cpu or memory');
  }
}

function validateAmount(problems: FieldProblems, name: string, quantity: Quantity, path: string): void {
  const { nanos } = exactQuantity(quantity);
  if (nanos < 0n) problems.invalid(path, quantity, 'must be greater than or equal to 0');
  const whole = nanos % 1_000_000_000n === 0n;
  if (!whole && name.includes('/')) problems.invalid(path, quantity, 'must be an integer');
  if (isHugePages(name)) {
    const size = hugePageSize(name);
    if (size !== undefined && size > 0n && nanos % size !== 0n) {
      problems.invalid(path, quantity, `must be a multiple of the page size ${name.slice('hugepages-'.length)}`);
    }
  }
}

function hugePageSize(name: string): bigint | undefined {
  try {
    return exactQuantity(name.slice('hugepages-'.length)).nanos;
  } catch {
    return undefined;
  }
}

function validateContainerResourceName(problems: FieldProblems, name: string, path: string): void {
  const broken = qualifiedName(name);
  problems.rules(path, name, broken);
  if (broken.length > 0) return;
  if (isHugePages(name)) {
    const size = hugePageSize(name);
    if (size === undefined || size <= 0n)
      problems.invalid(path, name, 'must be hugepages- and a page size, such as hugepages-2Mi');
  } else if (!name.includes('/')) {
    if (!['cpu', 'memory', 'ephemeral-storage'].includes(name)) {
      problems.invalid(path, name, 'must be a standard resource for containers');
    }
  } else if (name.startsWith('requests.')) {
    problems.invalid(path, name, "doesn't follow extended resource name standard");
  }
}

function validatePodResourceName(problems: FieldProblems, name: string, path: string): void {
  if (!isPodLevelResource(name)) problems.notSupported(path, name, ['cpu', 'memory', 'hugepages-*']);
}

/** Resources of the pod as a whole, against what its containers ask for. */
export function validatePodResources(problems: FieldProblems, pod: Pod, spec: PodSpec): void {
  const { resources } = spec;
  if (resources === undefined) return;
  validateRequirements(problems, resources, 'spec.resources', validatePodResourceName);
  if (spec.resources?.claims !== undefined && spec.resources.claims.length > 0) {
    problems.forbidden('spec.resources.claims', 'may not be set for Resources at pod-level');
  }
  const { requests = {}, limits = {} } = resources;
  for (const [name, asked] of Object.entries(aggregateContainerRequests(pod))) {
    const own = requests[name];
    if (own !== undefined && compareQuantities(asked, own) > 0) {
      problems.invalid(
        fieldPath('spec.resources.requests', name),
        own,
        `must be greater than or equal to aggregate container requests of ${asked}`,
      );
    }
  }
  for (const [name, limited] of Object.entries(aggregateContainerLimits(pod))) {
    const own = limits[name];
    if (own !== undefined && isHugePages(name) && compareQuantities(limited, own) > 0) {
      problems.invalid(
        fieldPath('spec.resources.limits', name),
        own,
        `must be greater than or equal to aggregate container limits of ${limited}`,
      );
    }
  }
  for (const [index, container] of spec.containers.entries()) {
    for (const [name, limit] of Object.entries(container.resources?.limits ?? {})) {
      const own = limits[name];
      if (own !== undefined && compareQuantities(limit, own) > 0) {
        const at = fieldPath(`spec.containers[${index}].resources.limits`, name);
        problems.invalid(at, limit, `must be less than or equal to pod limits of ${own}`);
      }
    }
  }
}

export function validateResizePolicy(
  problems: FieldProblems,
  policies: readonly ContainerResizePolicy[],
  path: string,
  podRestartPolicy: string | undefined,
): void {
  const seen = new Set<string>();
  for (const [index, { resourceName, restartPolicy }] of policies.entries()) {
    const at = `${path}[${index}]`;
    if (seen.has(resourceName)) problems.duplicate(at, resourceName);
    seen.add(resourceName);
    if (resourceName !== 'cpu' && resourceName !== 'memory') {
      problems.notSupported(`${at}.resourceName`, resourceName, ['cpu', 'memory']);
    }
    if (podRestartPolicy === 'Never' && restartPolicy !== 'NotRequired') {
      problems.invalid(
        `${at}.restartPolicy`,
        restartPolicy,
        "must be 'NotRequired' when pod `restartPolicy` is 'Never'",
      );
    }
  }
}
