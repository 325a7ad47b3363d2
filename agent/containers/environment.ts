import {
  isStaticPod,
  type ConfigMap,
  type Container,
  type EnvVar,
  type EphemeralContainer,
  type Pod,
  type Quantity,
  type Secret,
  type Service,
} from '../api/index.js';
import { requireFieldValue, type NodeFields } from '../downward/field-ref.js';
import { resourceFieldValue } from '../downward/resource-field-ref.js';
import { StepError } from '../executors/step-error.js';
import { expand } from './expand.js';

/** Where values come from; a missing object is undefined, any other failure is thrown. */
export interface EnvironmentSources {
  configMap(namespace: string, name: string, signal: AbortSignal): Promise<ConfigMap | undefined>;
  secret(namespace: string, name: string, signal: AbortSignal): Promise<Secret | undefined>;
  services(namespace: string, signal: AbortSignal): Promise<readonly Service[]>;
  /** Text of a file in a mounted volume of the pod, undefined when there is none; never leaves the volume. */
  volumeFile(pod: Pod, volume: string, path: string, signal: AbortSignal): Promise<string | undefined>;
  readonly node: NodeFields;
  readonly allocatable: Readonly<Record<string, Quantity>>;
}

/**
 * The whole environment of a container in definition order: service variables, `envFrom`, then `env`; later ones win. A reference
 * that cannot be resolved and is not optional fails with CreateContainerConfigError.
 */
export async function resolveEnvironment(
  pod: Pod,
  container: Container | EphemeralContainer,
  sources: EnvironmentSources,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const env = await serviceVariables(pod, sources, signal);
  for (const [name, value] of await fromSources(pod, container, sources, signal)) env.set(name, value);
  for (const variable of container.env ?? []) {
    const value = await resolveVariable(pod, container, variable, env, sources, signal);
    if (value !== undefined) env.set(variable.name, value);
  }
  return env;
}

/** Only what needs no lookup: what probe and hook commands may refer to. */
export function staticEnvironment(container: Container | EphemeralContainer): ReadonlyMap<string, string> {
  const env = new Map<string, string>();
  for (const { name, value, valueFrom } of container.env ?? []) {
    if (!valueFrom)
      env.set(
        name,
        expand(value ?? '', (key) => env.get(key)),
      );
  }
  return env;
}

async function fromSources(
  pod: Pod,
  container: Container | EphemeralContainer,
  sources: EnvironmentSources,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const namespace = pod.metadata?.namespace ?? 'default';
  const env = new Map<string, string>();
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    if (configMapRef) {
      const name = configMapRef.name ?? '';
      const object = await sources.configMap(namespace, name, signal);
      if (!object && configMapRef.optional !== true) throw missing('configmap', name);
      for (const [key, value] of Object.entries(object?.data ?? {})) env.set(prefix + key, value);
    }
    if (secretRef) {
      const name = secretRef.name ?? '';
      const object = await sources.secret(namespace, name, signal);
      if (!object && secretRef.optional !== true) throw missing('secret', name);
      for (const [key, value] of Object.entries(object?.data ?? {})) env.set(prefix + key, decode(value));
    }
  }
  return env;
}

async function resolveVariable(
  pod: Pod,
  container: Container | EphemeralContainer,
  variable: EnvVar,
  env: ReadonlyMap<string, string>,
  sources: EnvironmentSources,
  signal: AbortSignal,
): Promise<string | undefined> {
  const namespace = pod.metadata?.namespace ?? 'default';
  const { valueFrom } = variable;
  if (!valueFrom) return expand(variable.value ?? '', (name) => env.get(name));
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef } = valueFrom;
  if (fieldRef) return requireFieldValue(pod, fieldRef.fieldPath, sources.node);
  if (resourceFieldRef) return resourceFieldValue(pod, resourceFieldRef, container.name, sources.allocatable);
  if (configMapKeyRef) {
    const { name = '', key, optional } = configMapKeyRef;
    const object = await sources.configMap(namespace, name, signal);
    return keyOf('configmap', { namespace, name }, key, optional, object !== undefined, object?.data?.[key]);
  }
  if (secretKeyRef) {
    const { name = '', key, optional } = secretKeyRef;
    const object = await sources.secret(namespace, name, signal);
    const value = object?.data?.[key];
    const text = value === undefined ? undefined : decode(value);
    return keyOf('secret', { namespace, name }, key, optional, object !== undefined, text);
  }
  if (fileKeyRef) {
    const text = await sources.volumeFile(pod, fileKeyRef.volumeName, fileKeyRef.path, signal);
    const value = text === undefined ? undefined : envFileValue(text, fileKeyRef.path, fileKeyRef.key);
    if (value) return value;
    if (fileKeyRef.optional === true) return undefined;
    throw new StepError(
      'CreateContainerConfigError',
      `environment variable key "${fileKeyRef.key}" not found in file "${fileKeyRef.path}" of volume "${fileKeyRef.volumeName}"`,
    );
  }
  return '';
}

function keyOf(
  kind: 'configmap' | 'secret',
  { namespace, name }: { readonly namespace: string; readonly name: string },
  key: string,
  optional: boolean | undefined,
  objectFound: boolean,
  value: string | undefined,
): string | undefined {
  if (value !== undefined) return value;
  if (optional === true) return undefined;
  if (!objectFound) throw missing(kind, name);
  throw new StepError(
    'CreateContainerConfigError',
    `couldn't find key ${key} in ${kind === 'secret' ? 'Secret' : 'ConfigMap'} ${namespace}/${name}`,
  );
}

const missing = (kind: string, name: string): StepError =>
  new StepError('CreateContainerConfigError', `${kind} "${name}" not found`);

const decode = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8');

/**
 * The first value of a name among strict `NAME='value'` lines with single quotes, over several lines if need be (facts 12). `#` starts a
 * comment, also behind a value; what does not follow the `=` at once is no value. What comes after the name is not looked at.
 */
function envFileValue(file: string, path: string, key: string): string | undefined {
  const text = file.replaceAll('\r\n', '\n');
  const line =
    /[ \t]*(?:#[^\n]*|([^\s=](?:[^=\n]*[^\s=])?)=(?:'([^']*)'[ \t]*(?:#[^\n]*)?|(?:[ \t][^\n]*)?))?(?:\n|$)/y;
  while (line.lastIndex < text.length) {
    const at = line.lastIndex;
    const match = line.exec(text);
    if (!match) {
      const row = text.slice(0, at + 1).split('\n').length;
      throw new StepError(
        'CreateContainerConfigError',
        `parse environment file "${path}": line ${row} is not NAME='value'`,
      );
    }
    if (match[1] === key) return match[2] ?? '';
  }
  return undefined;
}

/** Docker-style variables for the services of the namespace, and always for `kubernetes` in `default`. */
async function serviceVariables(
  pod: Pod,
  sources: EnvironmentSources,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const env = new Map<string, string>();
  const namespace = pod.metadata?.namespace ?? 'default';
  const links = pod.spec?.enableServiceLinks ?? true;
  const servicesOf = async (from: string): Promise<readonly Service[]> => {
    try {
      return await sources.services(from, signal);
    } catch (err) {
      signal.throwIfAborted();
      // A static pod must run without a control plane; it may be what makes one.
      if (isStaticPod(pod)) return [];
      throw err;
    }
  };
  const master = (await servicesOf('default')).filter((service) => service.metadata?.name === 'kubernetes');
  const linked = links ? await servicesOf(namespace) : [];
  for (const service of [...master, ...linked]) addServiceVariables(env, service);
  return env;
}

function addServiceVariables(env: Map<string, string>, service: Service): void {
  const { clusterIP = '', ports = [] } = service.spec ?? {};
  const first = ports[0];
  if (clusterIP === '' || clusterIP === 'None' || !first) return;
  const prefix = (service.metadata?.name ?? '').toUpperCase().replaceAll('-', '_');
  const host = clusterIP.includes(':') ? `[${clusterIP}]` : clusterIP;
  env.set(`${prefix}_SERVICE_HOST`, clusterIP);
  env.set(`${prefix}_SERVICE_PORT`, String(first.port));
  for (const port of ports) {
    if (port.name) env.set(`${prefix}_SERVICE_PORT_${port.name.toUpperCase().replaceAll('-', '_')}`, String(port.port));
  }
  ports.forEach((port, index) => {
    const protocol = (port.protocol ?? 'TCP').toLowerCase();
    const url = `${protocol}://${host}:${port.port}`;
    if (index === 0) env.set(`${prefix}_PORT`, url);
    const base = `${prefix}_PORT_${port.port}_${protocol.toUpperCase()}`;
    env.set(base, url);
    env.set(`${base}_PROTO`, protocol);
    env.set(`${base}_PORT`, String(port.port));
    env.set(`${base}_ADDR`, clusterIP);
  });
}
