import { FieldProblems } from './field-problems.js';
import type { Pod, PodSpec, Toleration } from '../generated/types.js';
import { dnsLabel, dnsSearchDomain, dnsSubdomain, ipAddress, labelValue, qualifiedName } from './name-rules.js';
import type { ManifestProblem } from '../problem.js';
import { fieldPath } from '../problem.js';
import { exactQuantity } from '../quantity.js';
import { validateContainers } from './validate-containers.js';
import { validateLabels, validateMetadata } from './validate-metadata.js';
import { validatePodResources } from './validate-resources.js';
import { validatePodSecurityContext } from './validate-security.js';
import { validateVolumes } from './validate-volumes.js';

const maxNameservers = 3;
const maxSearches = 32;
const maxSearchCharacters = 2048;

/**
 * What the API server checks when a pod is created, in its words. Expects defaults to be filled in. Not checked, because a
 * node does not act on it: affinity, topology spread, scheduling gates' order, Windows fields.
 */
export function validatePod(pod: Pod): ManifestProblem[] {
  const problems = new FieldProblems();
  validateMetadata(problems, pod.metadata, { namespaced: true, name: dnsSubdomain });
  const { spec } = pod;
  if (spec === undefined) {
    problems.required('spec');
    return problems.list;
  }
  const volumes = validateVolumes(problems, spec, pod.metadata?.name ?? '');
  const claimNames = validateResourceClaims(problems, spec);
  validateContainers(problems, { spec, volumes, claimNames });
  validatePodResources(problems, pod, spec);
  validatePodSecurityContext(problems, spec);
  validateDns(problems, spec);
  validateHostNames(problems, spec);
  validateScheduling(problems, spec);
  validateLimits(problems, spec);
  return problems.list;
}

function validateResourceClaims(problems: FieldProblems, spec: PodSpec): Set<string> {
  const names = new Set<string>();
  for (const [index, claim] of (spec.resourceClaims ?? []).entries()) {
    const at = `spec.resourceClaims[${index}]`;
    const { name, resourceClaimName, resourceClaimTemplateName } = claim;
    if (name === '') problems.required(`${at}.name`);
    else problems.rules(`${at}.name`, name, dnsLabel(name));
    if (names.has(name)) problems.duplicate(`${at}.name`, name);
    names.add(name);
    if (resourceClaimName !== undefined && resourceClaimTemplateName !== undefined) {
      problems.invalid(
        at,
        undefined,
        'at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified',
      );
    }
    if (resourceClaimName === undefined && resourceClaimTemplateName === undefined) {
      problems.invalid(at, undefined, 'must specify one of: `resourceClaimName`, `resourceClaimTemplateName`');
    }
    for (const field of ['resourceClaimName', 'resourceClaimTemplateName'] as const) {
      const value = claim[field];
      if (value !== undefined) problems.rules(`${at}.${field}`, value, dnsSubdomain(value));
    }
  }
  return names;
}

function validateDns(problems: FieldProblems, spec: PodSpec): void {
  const { dnsConfig, dnsPolicy } = spec;
  const path = 'spec.dnsConfig';
  const { nameservers = [], searches = [], options = [] } = dnsConfig ?? {};
  if (dnsPolicy === 'None') {
    if (dnsConfig === undefined) return problems.required(path, 'must provide `dnsConfig` when `dnsPolicy` is None');
    if (nameservers.length === 0) {
      problems.required(`${path}.nameservers`, 'must provide at least one DNS nameserver when `dnsPolicy` is None');
    }
  }
  if (nameservers.length > maxNameservers) {
    problems.invalid(`${path}.nameservers`, undefined, `must not have more than ${maxNameservers} nameservers`);
  }
  for (const [index, server] of nameservers.entries()) {
    problems.rules(`${path}.nameservers[${index}]`, server, ipAddress(server));
  }
  if (searches.length > maxSearches) {
    problems.invalid(`${path}.searches`, undefined, `must not have more than ${maxSearches} search paths`);
  }
  if (searches.join(' ').length > maxSearchCharacters) {
    const rule = `must not have more than ${maxSearchCharacters} characters (including spaces) in the search list`;
    problems.invalid(`${path}.searches`, undefined, rule);
  }
  for (const [index, search] of searches.entries()) {
    if (search === '.') continue;
    const name = search.endsWith('.') ? search.slice(0, -1) : search;
    problems.rules(`${path}.searches[${index}]`, search, dnsSearchDomain(name));
  }
  for (const [index, { name = '' }] of options.entries()) {
    if (name === '') problems.required(`${path}.options[${index}]`, 'must not be empty');
  }
}

function validateHostNames(problems: FieldProblems, spec: PodSpec): void {
  const { hostname = '', subdomain = '', hostnameOverride } = spec;
  if (hostname !== '') problems.rules('spec.hostname', hostname, dnsLabel(hostname));
  if (subdomain !== '') problems.rules('spec.subdomain', subdomain, dnsLabel(subdomain));
  for (const [index, { ip, hostnames = [] }] of (spec.hostAliases ?? []).entries()) {
    problems.rules(`spec.hostAliases[${index}].ip`, ip, ipAddress(ip));
    for (const [place, name] of hostnames.entries()) {
      problems.rules(`spec.hostAliases[${index}].hostnames[${place}]`, name, dnsSubdomain(name));
    }
  }
  if (hostnameOverride === undefined) return;
  const at = 'spec.hostnameOverride';
  if (spec.setHostnameAsFQDN === true) problems.forbidden(at, 'may not be specified when setHostnameAsFQDN is true');
  if (spec.hostNetwork === true) problems.forbidden(at, 'may not be specified when hostNetwork is true');
  if (hostnameOverride.length > 64) problems.invalid(at, hostnameOverride, 'Too long: may not be more than 64 bytes');
  problems.rules(at, hostnameOverride, dnsSubdomain(hostnameOverride));
}

function validateScheduling(problems: FieldProblems, spec: PodSpec): void {
  validateLabels(problems, spec.nodeSelector ?? {}, 'spec.nodeSelector');
  for (const field of ['serviceAccountName', 'nodeName', 'priorityClassName', 'runtimeClassName'] as const) {
    const value = spec[field] ?? '';
    if (value !== '') problems.rules(`spec.${field}`, value, dnsSubdomain(value));
  }
  for (const [index, { conditionType }] of (spec.readinessGates ?? []).entries()) {
    problems.rules(`spec.readinessGates[${index}].conditionType`, conditionType, qualifiedName(conditionType));
  }
  for (const [index, toleration] of (spec.tolerations ?? []).entries()) {
    validateToleration(problems, toleration, `spec.tolerations[${index}]`);
  }
  if (spec.os?.name === 'windows') problems.invalid('spec.os.name', 'windows', 'this node runs Linux pods only');
}

function validateToleration(problems: FieldProblems, toleration: Toleration, path: string): void {
  const { key = '', operator = 'Equal', value = '', effect, tolerationSeconds } = toleration;
  if (key !== '') problems.rules(`${path}.key`, key, qualifiedName(key));
  if (key === '' && operator !== 'Exists') {
    const rule = 'operator must be Exists when `key` is empty, which means "match all values and all keys"';
    problems.invalid(`${path}.operator`, operator, rule);
  }
  if (tolerationSeconds !== undefined && effect !== 'NoExecute') {
    problems.invalid(`${path}.effect`, effect ?? '', "effect must be 'NoExecute' when `tolerationSeconds` is set");
  }
  if (operator === 'Exists') {
    if (value !== '') problems.invalid(`${path}.operator`, value, "value must be empty when `operator` is 'Exists'");
  } else if (operator === 'Equal') {
    problems.rules(`${path}.value`, value, labelValue(value));
  } else {
    // Lt and Gt exist in the API behind a gate that is off.
    problems.notSupported(`${path}.operator`, operator, ['Equal', 'Exists']);
  }
}

function validateLimits(problems: FieldProblems, spec: PodSpec): void {
  problems.range('spec.activeDeadlineSeconds', spec.activeDeadlineSeconds, 1, 2 ** 31 - 1);
  for (const [name, quantity] of Object.entries(spec.overhead ?? {})) {
    if (exactQuantity(quantity).nanos < 0n) {
      problems.invalid(fieldPath('spec.overhead', name), quantity, 'must be greater than or equal to 0');
    }
  }
}
