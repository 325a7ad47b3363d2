import type { FieldProblems } from './field-problems.js';
import type { Container, EphemeralContainer, PodSpec, Volume } from '../generated/types.js';
import { dnsLabel, ipAddress, portName, portNumber } from './name-rules.js';
import { isSidecar } from '../pod-containers.js';
import { validateEnv } from './validate-env.js';
import { validateLifecycle, validateProbe } from './validate-handlers.js';
import { validateMounts } from './validate-mounts.js';
import { validateContainerResources, validateResizePolicy } from './validate-resources.js';
import { validateSecurityContext } from './validate-security.js';

const probeKinds = ['livenessProbe', 'readinessProbe', 'startupProbe'] as const;

/** What of the pod its containers are checked against. */
export interface ContainerContext {
  readonly spec: PodSpec;
  readonly volumes: ReadonlyMap<string, Volume>;
  readonly claimNames: ReadonlySet<string>;
}

export function validateContainers(problems: FieldProblems, context: ContainerContext): void {
  const { spec } = context;
  const { containers, initContainers = [], ephemeralContainers = [] } = spec;
  if (containers.length === 0) problems.required('spec.containers', 'a pod needs at least one container');
  const names = new Set<string>();
  const hostPorts = new Set<string>();
  const unique = (name: string, path: string): void => {
    if (names.has(name)) problems.duplicate(`${path}.name`, name);
    if (name !== '') names.add(name);
  };
  for (const [index, container] of containers.entries()) {
    const path = `spec.containers[${index}]`;
    validateCommon(problems, container, context, path);
    unique(container.name, path);
    validateRunning(problems, container, spec, path);
    validateRestartPolicy(problems, container, path);
    validateHostPorts(problems, container, hostPorts, path);
  }
  for (const [index, container] of initContainers.entries()) {
    const path = `spec.initContainers[${index}]`;
    validateCommon(problems, container, context, path);
    unique(container.name, path);
    validateRestartPolicy(problems, container, path);
    // Only regular containers' ports are mapped, so init containers are checked each by itself.
    validateHostPorts(problems, container, new Set(), path);
    validateInit(problems, container, spec, path);
  }
  const targets = new Set(names);
  for (const [index, container] of ephemeralContainers.entries()) {
    const path = `spec.ephemeralContainers[${index}]`;
    validateCommon(problems, container, context, path);
    unique(container.name, path);
    validateEphemeral(problems, container, targets, path);
  }
}

function validateCommon(
  problems: FieldProblems,
  container: Container | EphemeralContainer,
  { spec, volumes, claimNames }: ContainerContext,
  path: string,
): void {
  const { name, image = '' } = container;
  if (name === '') problems.required(`${path}.name`);
  else problems.rules(`${path}.name`, name, dnsLabel(name));
  if (image === '') problems.required(`${path}.image`);
  else if (image !== image.trim())
    problems.invalid(`${path}.image`, image, 'must not have leading or trailing whitespace');
  validatePorts(problems, container, path, spec.hostNetwork === true);
  validateEnv(problems, container, path);
  validateFileKeyVolumes(problems, container, volumes, path);
  const { volumeMounts, volumeDevices, securityContext } = container;
  validateMounts(problems, { volumeMounts, volumeDevices, securityContext }, volumes, path);
  validateContainerResources(problems, container, claimNames, `${path}.resources`);
  validateResizePolicy(problems, container.resizePolicy ?? [], `${path}.resizePolicy`, spec.restartPolicy);
  validateSecurityContext(problems, securityContext, `${path}.securityContext`, spec.hostUsers !== false);
}

function validatePorts(
  problems: FieldProblems,
  container: Pick<Container, 'ports'>,
  path: string,
  hostNetwork: boolean,
): void {
  const names = new Set<string>();
  for (const [index, port] of (container.ports ?? []).entries()) {
    const at = `${path}.ports[${index}]`;
    const { name = '', containerPort, hostPort = 0, hostIP = '' } = port;
    if (name !== '') {
      problems.rules(`${at}.name`, name, portName(name));
      if (names.has(name)) problems.duplicate(`${at}.name`, name);
      names.add(name);
    }
    if (containerPort === 0) problems.required(`${at}.containerPort`);
    else for (const rule of portNumber(containerPort)) problems.invalid(`${at}.containerPort`, containerPort, rule);
    if (hostPort !== 0) for (const rule of portNumber(hostPort)) problems.invalid(`${at}.hostPort`, hostPort, rule);
    if (hostIP !== '') problems.rules(`${at}.hostIP`, hostIP, ipAddress(hostIP));
    if (hostNetwork && hostPort !== 0 && hostPort !== containerPort) {
      problems.invalid(`${at}.hostPort`, hostPort, 'must match `containerPort` when `hostNetwork` is true');
    }
  }
}

function validateHostPorts(
  problems: FieldProblems,
  container: Pick<Container, 'ports'>,
  taken: Set<string>,
  path: string,
): void {
  for (const [index, { hostPort = 0, hostIP = '', protocol = 'TCP' }] of (container.ports ?? []).entries()) {
    if (hostPort === 0) continue;
    const key = `${protocol}/${hostIP}/${hostPort}`;
    if (taken.has(key)) problems.duplicate(`${path}.ports[${index}].hostPort`, key);
    taken.add(key);
  }
}

function validateFileKeyVolumes(
  problems: FieldProblems,
  container: Pick<Container, 'env'>,
  volumes: ReadonlyMap<string, Volume>,
  path: string,
): void {
  for (const [index, { valueFrom }] of (container.env ?? []).entries()) {
    const name = valueFrom?.fileKeyRef?.volumeName;
    if (name === undefined || name === '') continue;
    const at = `${path}.env[${index}].valueFrom.fileKeyRef.volumeName`;
    const volume = volumes.get(name);
    if (volume === undefined) problems.notFound(at, name, 'no volume of the pod has this name');
    else if (volume.emptyDir === undefined) problems.invalid(at, name, 'referenced volume must be of type emptyDir');
  }
}

/** Rules of containers that run for long: regular ones and sidecars. */
function validateRunning(problems: FieldProblems, container: Container, spec: PodSpec, path: string): void {
  if (container.lifecycle !== undefined) {
    const pod = { gracePeriod: spec.terminationGracePeriodSeconds, osName: spec.os?.name };
    validateLifecycle(problems, container.lifecycle, pod, `${path}.lifecycle`);
  }
  for (const kind of probeKinds) {
    const probe = container[kind];
    if (probe !== undefined) validateProbe(problems, kind, probe, `${path}.${kind}`);
  }
}

function validateInit(problems: FieldProblems, container: Container, spec: PodSpec, path: string): void {
  if (isSidecar(container)) return validateRunning(problems, container, spec, path);
  for (const field of ['lifecycle', ...probeKinds] as const) {
    if (container[field] !== undefined) {
      problems.forbidden(`${path}.${field}`, 'may not be set for init containers without restartPolicy=Always');
    }
  }
  for (const [index, { restartPolicy }] of (container.resizePolicy ?? []).entries()) {
    if (restartPolicy !== 'RestartContainer') continue;
    const rule = "must not be set to 'RestartContainer' for non-sidecar initContainers";
    problems.invalid(`${path}.resizePolicy[${index}].restartPolicy`, restartPolicy, rule);
  }
}

function validateRestartPolicy(problems: FieldProblems, container: Container, path: string): void {
  const { restartPolicy, restartPolicyRules: rules = [] } = container;
  if (restartPolicy === undefined && rules.length > 0) {
    problems.required(`${path}.restartPolicy`, 'must specify restartPolicy when restart rules are used');
  }
  if (rules.length > 20)
    problems.invalid(`${path}.restartPolicyRules`, rules.length, 'Too many: must have at most 20 items');
  for (const [index, { exitCodes }] of rules.entries()) {
    const at = `${path}.restartPolicyRules[${index}].exitCodes`;
    if (exitCodes === undefined) problems.required(at, 'must be specified');
    else if ((exitCodes.values ?? []).length > 255) {
      problems.invalid(`${at}.values`, exitCodes.values?.length, 'Too many: must have at most 255 items');
    }
  }
}

const forbiddenForEphemeral = [
  'ports',
  'lifecycle',
  ...probeKinds,
  'resources',
  'resizePolicy',
  'restartPolicy',
  'restartPolicyRules',
] as const;

function validateEphemeral(
  problems: FieldProblems,
  container: EphemeralContainer,
  targets: ReadonlySet<string>,
  path: string,
): void {
  for (const field of forbiddenForEphemeral) {
    const value = container[field];
    const empty = value === undefined || (typeof value === 'object' && Object.keys(value).length === 0);
    if (!empty) problems.forbidden(`${path}.${field}`, 'cannot be set for an Ephemeral Container');
  }
  const { targetContainerName = '' } = container;
  if (targetContainerName !== '' && !targets.has(targetContainerName)) {
    problems.notFound(`${path}.targetContainerName`, targetContainerName);
  }
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    for (const field of ['subPath', 'subPathExpr'] as const) {
      if ((mount[field] ?? '') === '') continue;
      problems.forbidden(`${path}.volumeMounts[${index}].${field}`, 'cannot be set for an Ephemeral Container');
    }
  }
}
