import type { NodeSelector, NodeSelectorRequirement, NodeSelectorTerm } from './generated/types.js';
import { isAsRequired } from './label-selector.js';

export interface NodeIdentity {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Terms are alternatives; the requirements of one must all hold. A selector or term without requirements matches nothing. */
export function matchesNodeSelector(selector: NodeSelector, node: NodeIdentity): boolean {
  return (selector.nodeSelectorTerms ?? []).some((term) => matchesTerm(term, node));
}

function matchesTerm({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm, node: NodeIdentity): boolean {
  if (matchExpressions.length === 0 && matchFields.length === 0) return false;
  const byLabel = matchExpressions.every((each) => holds(each, ownLabel(node.labels, each.key)));
  const byField = matchFields.every((each) => each.key === 'metadata.name' && holds(each, node.name));
  return byLabel && byField;
}

function holds(requirement: NodeSelectorRequirement, value: string | undefined): boolean {
  const { operator, values = [] } = requirement;
  if (operator === 'Gt') return compare(value, values[0]) > 0;
  if (operator === 'Lt') return compare(value, values[0]) < 0;
  return isAsRequired(requirement, value);
}

/** NaN, which compares with nothing, unless both are whole numbers. */
function compare(value: string | undefined, limit: string | undefined): number {
  const whole = /^-?\d+$/;
  if (value === undefined || limit === undefined || !whole.test(value) || !whole.test(limit)) return Number.NaN;
  return Number(BigInt(value) - BigInt(limit));
}

const ownLabel = (labels: Readonly<Record<string, string>>, key: string): string | undefined =>
  Object.hasOwn(labels, key) ? labels[key] : undefined;
