import type { FieldProblems } from './field-problems.js';
import type { AppArmorProfile, PodSpec, SeccompProfile, SecurityContext, Sysctl } from '../generated/types.js';
import { descendingPath, sysctlName } from './name-rules.js';

const maxId = 2 ** 31 - 1;
const maxProfilePath = 4095;

export function validateSecurityContext(
  problems: FieldProblems,
  context: SecurityContext | undefined,
  path: string,
  hostUsers: boolean,
): void {
  if (context === undefined) return;
  problems.range(`${path}.runAsUser`, context.runAsUser, 0, maxId);
  problems.range(`${path}.runAsGroup`, context.runAsGroup, 0, maxId);
  if (hostUsers && context.procMount === 'Unmasked') {
    problems.invalid(`${path}.procMount`, context.procMount, '`hostUsers` must be false to use `Unmasked`');
  }
  validateSeccomp(problems, context.seccompProfile, `${path}.seccompProfile`);
  validateAppArmor(problems, context.appArmorProfile, `${path}.appArmorProfile`);
  if (context.allowPrivilegeEscalation !== false) return;
  if (context.privileged === true) {
    problems.invalid(path, undefined, 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true');
  }
  if (context.capabilities?.add?.includes('CAP_SYS_ADMIN') === true) {
    problems.invalid(
      path,
      undefined,
      'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN',
    );
  }
}

export function validatePodSecurityContext(problems: FieldProblems, spec: PodSpec): void {
  const context = spec.securityContext ?? {};
  const path = 'spec.securityContext';
  problems.range(`${path}.fsGroup`, context.fsGroup, 0, maxId);
  problems.range(`${path}.runAsUser`, context.runAsUser, 0, maxId);
  problems.range(`${path}.runAsGroup`, context.runAsGroup, 0, maxId);
  for (const [index, group] of (context.supplementalGroups ?? []).entries()) {
    problems.range(`${path}.supplementalGroups[${index}]`, group, 0, maxId);
  }
  validateSeccomp(problems, context.seccompProfile, `${path}.seccompProfile`);
  validateAppArmor(problems, context.appArmorProfile, `${path}.appArmorProfile`);
  validateSysctls(problems, spec, context.sysctls ?? []);
  if (spec.shareProcessNamespace === true && spec.hostPID === true) {
    problems.invalid('spec.shareProcessNamespace', true, 'ShareProcessNamespace and HostPID cannot both be enabled');
  }
  if (spec.hostUsers !== false) return;
  for (const field of ['hostNetwork', 'hostPID', 'hostIPC'] as const) {
    if (spec[field] === true) problems.forbidden(`spec.${field}`, 'when `hostUsers` is false');
  }
  for (const list of ['initContainers', 'containers', 'ephemeralContainers'] as const) {
    for (const [index, container] of (spec[list] ?? []).entries()) {
      if ((container.volumeDevices ?? []).length > 0) {
        problems.forbidden(`spec.${list}[${index}].volumeDevices`, 'when `hostUsers` is false');
      }
    }
  }
}

function validateSysctls(problems: FieldProblems, spec: PodSpec, sysctls: readonly Sysctl[]): void {
  const seen = new Set<string>();
  for (const [index, { name }] of sysctls.entries()) {
    const at = `spec.securityContext.sysctls[${index}].name`;
    if (name === '') problems.required(at);
    else problems.rules(at, name, sysctlName(name));
    const plain = name.replaceAll('/', '.');
    if (seen.has(plain)) problems.duplicate(at, name);
    seen.add(plain);
    if (spec.hostNetwork === true && plain.startsWith('net.')) {
      problems.invalid(at, name, "may not be specified when 'hostNetwork' is true");
    }
    if (spec.hostIPC === true && /^(?:kernel\.(?:shm|msg|sem)|fs\.mqueue\.)/.test(plain)) {
      problems.invalid(at, name, "may not be specified when 'hostIPC' is true");
    }
  }
}

function validateSeccomp(problems: FieldProblems, profile: SeccompProfile | undefined, path: string): void {
  if (profile === undefined) return;
  const { type, localhostProfile } = profile;
  const at = `${path}.localhostProfile`;
  if (type !== 'Localhost') {
    if (localhostProfile !== undefined)
      problems.invalid(at, localhostProfile, 'can only be set when seccomp type is Localhost');
  } else if (localhostProfile === undefined || localhostProfile === '') {
    problems.required(at, 'must be set when seccomp type is Localhost');
  } else {
    problems.rules(at, localhostProfile, descendingPath(localhostProfile));
  }
}

function validateAppArmor(problems: FieldProblems, profile: AppArmorProfile | undefined, path: string): void {
  if (profile === undefined) return;
  const { type, localhostProfile } = profile;
  const at = `${path}.localhostProfile`;
  if (type !== 'Localhost') {
    if (localhostProfile !== undefined)
      problems.invalid(at, localhostProfile, 'can only be set when AppArmor type is Localhost');
  } else if (localhostProfile === undefined || localhostProfile.trim() === '') {
    problems.required(at, 'must be set when AppArmor type is Localhost');
  } else if (localhostProfile !== localhostProfile.trim()) {
    problems.invalid(at, localhostProfile, 'must not be padded with whitespace');
  } else if (localhostProfile.length > maxProfilePath) {
    problems.invalid(at, localhostProfile, `Too long: may not be more than ${maxProfilePath} bytes`);
  }
}
