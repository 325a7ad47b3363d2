import type { FieldProblems } from './field-problems.js';
import type {
  Container,
  EnvFromSource,
  EnvVar,
  EnvVarSource,
  ObjectFieldSelector,
  ResourceFieldSelector,
} from '../generated/types.js';
import { configKey, dnsLabel, dnsSubdomain, envName, noBacksteps, qualifiedName } from './name-rules.js';
import { canonicalQuantity, isZeroQuantity } from '../quantity.js';

const envFields = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
];
/** Files of the downward API follow changes of labels and annotations; what the node decides is for env only. */
export const volumeFields = [
  'metadata.name',
  'metadata.namespace',
  'metadata.labels',
  'metadata.annotations',
  'metadata.uid',
];

const resourceFields = ['cpu', 'memory', 'ephemeral-storage'].flatMap((name) => [`limits.${name}`, `requests.${name}`]);
const sizeDivisors = ['1', '1k', '1M', '1G', '1T', '1P', '1E', '1Ki', '1Mi', '1Gi', '1Ti', '1Pi', '1Ei'];

export function validateEnv(
  problems: FieldProblems,
  container: Pick<Container, 'env' | 'envFrom'>,
  path: string,
): void {
  for (const [index, variable] of (container.env ?? []).entries()) {
    const at = `${path}.env[${index}]`;
    if (variable.name === '') problems.required(`${at}.name`);
    else problems.rules(`${at}.name`, variable.name, envName(variable.name));
    if (variable.value?.includes('\0') === true)
      problems.invalid(`${at}.value`, undefined, 'must not hold a zero byte');
    if (variable.valueFrom !== undefined) validateValueFrom(problems, variable, variable.valueFrom, `${at}.valueFrom`);
  }
  for (const [index, source] of (container.envFrom ?? []).entries()) {
    validateEnvFrom(problems, source, `${path}.envFrom[${index}]`);
  }
}

function validateEnvFrom(problems: FieldProblems, source: EnvFromSource, path: string): void {
  const { prefix = '', configMapRef, secretRef } = source;
  if (prefix !== '') problems.rules(`${path}.prefix`, prefix, envName(prefix));
  if (configMapRef !== undefined) validateReference(problems, configMapRef.name, `${path}.configMapRef.name`);
  if (secretRef !== undefined) validateReference(problems, secretRef.name, `${path}.secretRef.name`);
  if (configMapRef === undefined && secretRef === undefined) {
    problems.invalid(path, undefined, 'must specify one of: `configMapRef` or `secretRef`');
  } else if (configMapRef !== undefined && secretRef !== undefined) {
    problems.invalid(path, undefined, 'may not have more than one field specified at a time');
  }
}

export function validateReference(problems: FieldProblems, name: string | undefined, path: string): void {
  if (name === undefined || name === '') problems.required(path);
  else problems.rules(path, name, dnsSubdomain(name));
}

function validateValueFrom(problems: FieldProblems, variable: EnvVar, source: EnvVarSource, path: string): void {
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef } = source;
  if (fieldRef !== undefined) validateFieldRef(problems, fieldRef, envFields, `${path}.fieldRef`);
  if (resourceFieldRef !== undefined)
    validateResourceFieldRef(problems, resourceFieldRef, `${path}.resourceFieldRef`, false);
  if (configMapKeyRef !== undefined) validateKeyRef(problems, configMapKeyRef, `${path}.configMapKeyRef`);
  if (secretKeyRef !== undefined) validateKeyRef(problems, secretKeyRef, `${path}.secretKeyRef`);
  if (fileKeyRef !== undefined) {
    const at = `${path}.fileKeyRef`;
    if (fileKeyRef.key === '') problems.required(`${at}.key`);
    else problems.rules(`${at}.key`, fileKeyRef.key, envName(fileKeyRef.key));
    if (fileKeyRef.volumeName === '') problems.required(`${at}.volumeName`);
    else problems.rules(`${at}.volumeName`, fileKeyRef.volumeName, dnsLabel(fileKeyRef.volumeName));
    if (fileKeyRef.path === '') problems.required(`${at}.path`);
    else problems.rules(`${at}.path`, fileKeyRef.path, noBacksteps(fileKeyRef.path));
  }
  const sources = [fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef].filter(
    (each) => each !== undefined,
  );
  if (sources.length === 0) {
    const choices = '`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`';
    problems.invalid(path, undefined, `must specify one of: ${choices}`);
  } else if (variable.value !== undefined && variable.value !== '') {
    problems.invalid(path, undefined, 'may not be specified when `value` is not empty');
  } else if (sources.length > 1) {
    problems.invalid(path, undefined, 'may not have more than one field specified at a time');
  }
}

function validateKeyRef(problems: FieldProblems, ref: { key: string; name?: string | undefined }, path: string): void {
  validateReference(problems, ref.name, `${path}.name`);
  if (ref.key === '') problems.required(`${path}.key`);
  else problems.rules(`${path}.key`, ref.key, configKey(ref.key));
}

export function validateFieldRef(
  problems: FieldProblems,
  ref: ObjectFieldSelector,
  allowed: readonly string[],
  path: string,
): void {
  const at = `${path}.fieldPath`;
  if (ref.fieldPath === '') return problems.required(at);
  const subscript = /^(metadata\.(?:labels|annotations))\['(.*)'\]$/.exec(ref.fieldPath);
  if (subscript !== null) {
    const key = subscript[2] ?? '';
    problems.rules(at, key, qualifiedName(subscript[1] === 'metadata.annotations' ? key.toLowerCase() : key));
  } else if (!allowed.includes(ref.fieldPath)) {
    problems.notSupported(at, ref.fieldPath, [...allowed, "metadata.labels['KEY']", "metadata.annotations['KEY']"]);
  }
}

export function validateResourceFieldRef(
  problems: FieldProblems,
  ref: ResourceFieldSelector,
  path: string,
  inVolume: boolean,
): void {
  const { containerName = '', resource, divisor } = ref;
  const hugePages = /^(?:requests|limits)\.hugepages-/.test(resource);
  if (inVolume && containerName === '') problems.required(`${path}.containerName`);
  else if (resource === '') problems.required(`${path}.resource`);
  else if (!resourceFields.includes(resource) && !hugePages)
    problems.notSupported(`${path}.resource`, resource, resourceFields);
  if (divisor === undefined || isZeroQuantity(divisor)) return;
  const allowed = resource.endsWith('.cpu') ? ['1m', '1'] : sizeDivisors;
  if (!allowed.includes(canonicalQuantity(divisor))) {
    const kind = resource.slice(resource.indexOf('.') + 1);
    problems.invalid(
      `${path}.divisor`,
      divisor,
      `only divisor's values ${allowed.join(', ')} are supported with the ${kind} resource`,
    );
  }
}
