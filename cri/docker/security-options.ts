import { readFile } from 'node:fs/promises';
import type * as v1 from '../../proto/generated/cri-v1.js';
import { criError } from '../contract/cri-error.js';
import { apparmorProfile, seccompProfile } from '../contract/security-profiles.js';

type Security = v1.LinuxContainerSecurityContext | v1.LinuxSandboxSecurityContext;

/** Docker's `SecurityOpt` for a CRI security context. */
export async function securityOptions(security: Security): Promise<string[]> {
  const options: string[] = [];
  if (security.privileged !== true) options.push(...(await seccomp(seccompProfile(security))));
  options.push(...apparmor(security));
  const { user, role, type, level } = security.selinuxOptions ?? {};
  for (const [key, value] of Object.entries({ user, role, type, level })) {
    if (value) options.push(`label=${key}:${value}`);
  }
  if ('noNewPrivs' in security && security.noNewPrivs === true) options.push('no-new-privileges');
  return options;
}

/** No profile at all means unconfined in CRI; Docker's own default is what RuntimeDefault asks for. */
async function seccomp(profile: v1.SecurityProfile | undefined): Promise<string[]> {
  if (profile === undefined || profile.profileType === 'Unconfined') return ['seccomp=unconfined'];
  if (profile.profileType !== 'Localhost') return [];
  const path = profile.localhostRef ?? '';
  try {
    // Docker takes the content, in one line.
    return [`seccomp=${JSON.stringify(JSON.parse(await readFile(path, 'utf8')))}`];
  } catch (err) {
    throw criError('failed-precondition', `read Localhost seccomp profile ${path}`, err);
  }
}

function apparmor(security: Security): string[] {
  const profile = apparmorProfile(security);
  if (profile?.profileType === 'Unconfined') return ['apparmor=unconfined'];
  if (profile?.profileType !== 'Localhost') return [];
  return [`apparmor=${(profile.localhostRef ?? '').replace(/^localhost\//, '')}`];
}
