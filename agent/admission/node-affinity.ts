import type { NodeSelectorRequirement, NodeSelectorTerm, Pod } from '../api/index.js';

/** Whether the node is one the pod asks for: `nodeSelector`, and one of the terms of its required node affinity. */
export function matchesNode(pod: Pod, nodeName: string, labels: Readonly<Record<string, string>>): boolean {
  const wanted = Object.entries(pod.spec?.nodeSelector ?? {});
  if (!wanted.every(([key, value]) => labels[key] === value)) return false;
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (!required) return true;
  return required.nodeSelectorTerms.some((term) => matchesTerm(term, nodeName, labels));
}

/** All requirements of a term; a term without any matches nothing. */
function matchesTerm(term: NodeSelectorTerm, nodeName: string, labels: Readonly<Record<string, string>>): boolean {
  const { matchExpressions = [], matchFields = [] } = term;
  if (matchExpressions.length + matchFields.length === 0) return false;
  return (
    matchExpressions.every((requirement) => matchesRequirement(requirement, labels[requirement.key])) &&
    matchFields.every((requirement) => requirement.key === 'metadata.name' && matchesRequirement(requirement, nodeName))
  );
}

function matchesRequirement({ operator, values = [] }: NodeSelectorRequirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return compared(value, values[0]) > 0;
    case 'Lt':
      return compared(value, values[0]) < 0;
    default:
      return false;
  }
}

/** NaN, which is neither, unless both are whole numbers. */
function compared(value: string | undefined, bound: string | undefined): number {
  const whole = /^-?\d+$/;
  if (value === undefined || bound === undefined || !whole.test(value) || !whole.test(bound)) return Number.NaN;
  return Number(BigInt(value) - BigInt(bound));
}
