import type { LabelSelector } from './generated/types.js';

export function matchesLabels(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector;
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every((requirement) => isAsRequired(requirement, labels[requirement.key]))
  );
}

/** The four operators that selectors of labels and of nodes share; another is never met. */
export function isAsRequired(
  { operator, values = [] }: { readonly operator: string; readonly values?: readonly string[] | undefined },
  value: string | undefined,
): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    default:
      return false;
  }
}
