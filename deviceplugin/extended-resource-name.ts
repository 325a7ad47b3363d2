const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const namePart = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

/** Quota names a resource `requests.<name>`, and the whole must still fit into a DNS subdomain. */
const longestDomain = 253 - 'requests.'.length;

/** Why `name` cannot be an extended resource (`example.com/gpu`), undefined when it can. */
export function extendedResourceNameProblem(name: string): string | undefined {
  const slash = name.indexOf('/');
  if (slash < 0) return 'it has no domain; a name without one belongs to Kubernetes';
  const domain = name.slice(0, slash);
  const rest = name.slice(slash + 1);
  if (name.includes('kubernetes.io/')) return 'the domain kubernetes.io belongs to Kubernetes';
  if (name.startsWith('requests.')) return 'the prefix "requests." belongs to quota';
  if (domain.length === 0 || domain.length > longestDomain) {
    return `the domain must have 1 to ${longestDomain} characters`;
  }
  if (!domain.split('.').every((part) => label.test(part))) {
    return 'the domain must be lower-case letters, digits and "-", in parts separated by "."';
  }
  if (rest.length === 0 || rest.length > 63) return 'the part after the domain must have 1 to 63 characters';
  if (!namePart.test(rest)) {
    return 'the part after the domain must be letters, digits, "-", "_" and ".", and begin and end with a letter or digit';
  }
  return undefined;
}

export const isExtendedResource = (name: string): boolean => extendedResourceNameProblem(name) === undefined;
