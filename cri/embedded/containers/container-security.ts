import { readFile } from 'node:fs/promises';
import type * as v1 from '../../../proto/generated/cri-v1.js';
import { criError } from '../../contract/cri-error.js';
import { apparmorProfile as askedAppArmor, seccompProfile } from '../../contract/security-profiles.js';
import type { RuntimeContext } from '../context.js';
import type { OciSeccomp } from '../oci-spec/oci-types.js';

/** The filter of a container; undefined is unconfined, as a privileged container always is. */
export async function seccompFilter(
  context: RuntimeContext,
  security: v1.LinuxContainerSecurityContext | null | undefined,
  capabilities: readonly string[],
): Promise<OciSeccomp | undefined> {
  if (security?.privileged === true) return undefined;
  const profile = seccompProfile(security);
  switch (profile?.profileType) {
    // An absent message is "not asked for"; an empty one is the first value of the enum.
    case undefined:
      return profile == null ? undefined : await context.seccomp.runtimeDefault(capabilities);
    case 'Unconfined':
      return undefined;
    case 'RuntimeDefault':
      return await context.seccomp.runtimeDefault(capabilities);
    case 'Localhost':
      return await context.seccomp.localhost(profile?.localhostRef ?? '', capabilities);
  }
}

/** Name of the AppArmor profile; undefined where the machine has no AppArmor or none was asked for. */
export async function apparmorProfile(
  context: RuntimeContext,
  security: v1.LinuxContainerSecurityContext | null | undefined,
): Promise<string | undefined> {
  const profile = askedAppArmor(security);
  if (profile == null || profile.profileType === 'Unconfined' || security?.privileged === true) return undefined;
  if (profile.profileType === 'Localhost') {
    const name = (profile.localhostRef ?? '').replace(/^localhost\//, '');
    if (!context.host.apparmor) {
      throw criError('failed-precondition', `apply AppArmor profile ${name}: this machine has no AppArmor`);
    }
    const loaded = await readFile('/sys/kernel/security/apparmor/profiles', 'utf8');
    if (!loaded.split('\n').some((line) => line.startsWith(`${name} (`))) {
      throw criError('failed-precondition', `apply AppArmor profile ${name}: not loaded`);
    }
    return name;
  }
  return context.host.apparmor && context.options.apparmorProfile !== '' ? context.options.apparmorProfile : undefined;
}

export interface SelinuxLabels {
  readonly process: string;
  readonly mount: string;
}

/** Labels from the request's options over the usual container ones; empty where SELinux is off or nothing was asked for. */
export function selinuxLabels(
  enabled: boolean,
  options: v1.SELinuxOption | null | undefined,
  privileged: boolean,
): SelinuxLabels {
  if (!enabled || privileged || options == null) return { process: '', mount: '' };
  const user = options.user || 'system_u';
  const role = options.role || 'system_r';
  const level = options.level || 's0';
  return {
    process: `${user}:${role}:${options.type || 'container_t'}:${level}`,
    mount: `${user}:object_r:container_file_t:${level}`,
  };
}
