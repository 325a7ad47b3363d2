import { Buffer } from 'node:buffer';
import { FieldProblems } from './field-problems.js';
import type {
  ConfigMap,
  KubeObject,
  PersistentVolume,
  PersistentVolumeClaim,
  Secret,
  Service,
} from '../generated/types.js';
import {
  configKey,
  dnsLabel,
  dnsLabelStartingWithLetter,
  dnsSubdomain,
  ipAddress,
  noBacksteps,
  portName,
  portNumber,
  type NameRule,
} from './name-rules.js';
import { isNamespaced } from '../object-scope.js';
import { fieldPath, type ManifestProblem } from '../problem.js';
import { exactQuantity } from '../quantity.js';
import { trustBundleName, validateTrustBundle } from './validate-certificates.js';
import { validateMetadata } from './validate-metadata.js';
import { validatePod } from './validate-pod.js';
import { validateCsiDriverName, validateFlexOptions } from './validate-volumes.js';

const maxDataBytes = 1024 * 1024;
/** Create-validation of any object; beyond names, only for the kinds the agent acts on. Expects defaults filled in. */
export function validateObject(object: KubeObject): ManifestProblem[] {
  if (object.kind === 'Pod') return validatePod(object);
  const problems = new FieldProblems();
  const kind = object.kind ?? '';
  if ('metadata' in object && kind !== 'Status') {
    validateMetadata(problems, object.metadata, { namespaced: isNamespaced(kind), name: nameRule(object) });
  } else if (kind !== 'Status') {
    problems.required('metadata.name', 'name is required');
  }
  switch (object.kind) {
    case 'ConfigMap':
      validateConfigMap(problems, object);
      break;
    case 'Secret':
      validateSecret(problems, object);
      break;
    case 'PersistentVolume':
      validatePersistentVolume(problems, object);
      break;
    case 'PersistentVolumeClaim':
      validatePersistentVolumeClaim(problems, object);
      break;
    case 'Service':
      validateService(problems, object);
      break;
    case 'ClusterTrustBundle':
      validateTrustBundle(problems, object);
      break;
    default:
  }
  return problems.list;
}

function nameRule(object: KubeObject): NameRule {
  switch (object.kind) {
    case 'Service':
      return dnsLabelStartingWithLetter;
    case 'Namespace':
      return dnsLabel;
    case 'ClusterTrustBundle':
      return trustBundleName(object.spec?.signerName ?? '');
    default:
      return dnsSubdomain;
  }
}

function validateConfigMap(problems: FieldProblems, { data = {}, binaryData = {} }: ConfigMap): void {
  let size = 0;
  for (const [key, text] of Object.entries(data)) {
    problems.rules(fieldPath('data', key), key, configKey(key));
    if (Object.hasOwn(binaryData, key))
      problems.invalid(fieldPath('data', key), key, 'duplicate of key present in binaryData');
    size += Buffer.byteLength(text);
  }
  for (const [key, text] of Object.entries(binaryData)) {
    problems.rules(fieldPath('binaryData', key), key, configKey(key));
    size += Buffer.byteLength(text, 'base64');
  }
  if (size > maxDataBytes) problems.invalid('', undefined, `Too long: may not be more than ${maxDataBytes} bytes`);
}

/** The keys a secret of a well-known type must have. */
const secretKeys: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/dockercfg': ['.dockercfg'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
};

function validateSecret(problems: FieldProblems, { data = {}, type = 'Opaque' }: Secret): void {
  let size = 0;
  for (const [key, text] of Object.entries(data)) {
    problems.rules(fieldPath('data', key), key, configKey(key));
    size += Buffer.byteLength(text, 'base64');
  }
  if (size > maxDataBytes) problems.invalid('data', undefined, `Too long: may not be more than ${maxDataBytes} bytes`);
  for (const key of secretKeys[type] ?? []) if (data[key] === undefined) problems.required(fieldPath('data', key));
  if (type === 'kubernetes.io/basic-auth' && data['username'] === undefined && data['password'] === undefined) {
    problems.required('data.username');
    problems.required('data.password');
  }
  for (const key of ['.dockercfg', '.dockerconfigjson']) {
    const text = data[key];
    if (text === undefined || secretKeys[type]?.includes(key) !== true) continue;
    // The reason is left out: a JSON parser quotes what it read, and this is secret.
    if (!isJsonObject(Buffer.from(text, 'base64').toString('utf8')))
      problems.invalid(fieldPath('data', key), undefined, 'is not JSON');
  }
}

function isJsonObject(text: string): boolean {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** Fields of a volume's spec that say something about it but not where it is. */
const volumeSpecFields = new Set([
  'accessModes',
  'capacity',
  'claimRef',
  'mountOptions',
  'nodeAffinity',
  'persistentVolumeReclaimPolicy',
  'storageClassName',
  'volumeAttributesClassName',
  'volumeMode',
]);

function validatePersistentVolume(problems: FieldProblems, { spec = {} }: PersistentVolume): void {
  if ((spec.accessModes ?? []).length === 0)
    problems.required('spec.accessModes', 'at least 1 access mode is required');
  validateAccessModes(problems, spec.accessModes ?? []);
  const storage = spec.capacity?.['storage'];
  if (storage === undefined) problems.required('spec.capacity.storage');
  else if (exactQuantity(storage).nanos <= 0n)
    problems.invalid('spec.capacity.storage', storage, 'must be greater than zero');
  const sources = Object.entries(spec).flatMap(([key, value]) =>
    value === undefined || volumeSpecFields.has(key) ? [] : [key],
  );
  if (sources.length === 0) problems.required('spec', 'must specify a volume type');
  for (const source of sources.slice(1))
    problems.forbidden(`spec.${source}`, 'may not specify more than 1 volume type');
  const { hostPath, local, csi, flexVolume, nodeAffinity } = spec;
  if (hostPath !== undefined) problems.rules('spec.hostPath.path', hostPath.path, noBacksteps(hostPath.path));
  if (local !== undefined) {
    problems.rules('spec.local.path', local.path, noBacksteps(local.path));
    if (nodeAffinity === undefined) problems.required('spec.nodeAffinity', 'Local volume requires node affinity');
  }
  if (csi !== undefined) {
    validateCsiDriverName(problems, csi.driver, 'spec.csi.driver');
    if (csi.volumeHandle === '') problems.required('spec.csi.volumeHandle');
  }
  if (flexVolume !== undefined) {
    if (flexVolume.driver === '') problems.required('spec.flexVolume.driver');
    validateFlexOptions(problems, flexVolume.options ?? {}, 'spec.flexVolume.options');
  }
}

function validateAccessModes(problems: FieldProblems, modes: readonly string[]): void {
  if (modes.includes('ReadWriteOncePod') && modes.length > 1) {
    problems.forbidden('spec.accessModes', 'may not use ReadWriteOncePod with other access modes');
  }
}

function validatePersistentVolumeClaim(problems: FieldProblems, { spec = {} }: PersistentVolumeClaim): void {
  if ((spec.accessModes ?? []).length === 0)
    problems.required('spec.accessModes', 'at least 1 access mode is required');
  validateAccessModes(problems, spec.accessModes ?? []);
  const storage = spec.resources?.requests?.['storage'];
  if (storage === undefined) problems.required('spec.resources.requests.storage');
  else if (exactQuantity(storage).nanos <= 0n) {
    problems.invalid('spec.resources.requests.storage', storage, 'must be greater than zero');
  }
  const { storageClassName = '', volumeName = '' } = spec;
  if (storageClassName !== '')
    problems.rules('spec.storageClassName', storageClassName, dnsSubdomain(storageClassName));
  if (volumeName !== '') problems.rules('spec.volumeName', volumeName, dnsSubdomain(volumeName));
}

function validateService(problems: FieldProblems, { spec = {} }: Service): void {
  const ports = spec.ports ?? [];
  const headless = spec.clusterIP === 'None';
  if (spec.type === 'ExternalName') {
    const name = spec.externalName ?? '';
    if (name === '') problems.required('spec.externalName');
    else problems.rules('spec.externalName', name, dnsSubdomain(name));
  } else if (ports.length === 0 && !headless) {
    problems.required('spec.ports');
  }
  const { clusterIP = '' } = spec;
  if (clusterIP !== '' && !headless) problems.rules('spec.clusterIP', clusterIP, ipAddress(clusterIP));
  const names = new Set<string>();
  const numbers = new Set<string>();
  for (const [index, port] of ports.entries()) {
    const at = `spec.ports[${index}]`;
    const { name = '', protocol = 'TCP', targetPort } = port;
    if (name === '') {
      if (ports.length > 1) problems.required(`${at}.name`);
    } else {
      problems.rules(`${at}.name`, name, dnsLabel(name));
      if (names.has(name)) problems.duplicate(`${at}.name`, name);
      names.add(name);
    }
    for (const rule of portNumber(port.port)) problems.invalid(`${at}.port`, port.port, rule);
    if (typeof targetPort === 'string') problems.rules(`${at}.targetPort`, targetPort, portName(targetPort));
    else if (targetPort !== undefined) {
      for (const rule of portNumber(targetPort)) problems.invalid(`${at}.targetPort`, targetPort, rule);
    }
    const key = `${protocol}/${port.port}`;
    if (numbers.has(key)) problems.duplicate(at, key);
    numbers.add(key);
  }
}
