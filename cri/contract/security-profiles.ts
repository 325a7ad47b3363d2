import type * as v1 from '../../proto/generated/cri-v1.js';
import { criError } from './cri-error.js';

interface Asked {
  readonly seccomp?: v1.SecurityProfile | null | undefined;
  readonly seccompProfilePath?: string | undefined;
  readonly apparmor?: v1.SecurityProfile | null | undefined;
  /** Of containers only. */
  readonly apparmorProfile?: string | undefined;
}

/** The profile that was asked for, in the new field or in the deprecated one, which older clients use; undefined for none. */
export function seccompProfile(security: Asked | null | undefined): v1.SecurityProfile | undefined {
  const { seccomp, seccompProfilePath = '' } = security ?? {};
  const profile = seccomp ?? oldProfile('seccomp_profile_path', seccompProfilePath);
  if (seccomp != null || profile?.localhostRef === undefined) return profile;
  return { ...profile, localhostRef: profile.localhostRef.replace(/^\/*/, '/') };
}

/** See `seccompProfile`. */
export function apparmorProfile(security: Asked | null | undefined): v1.SecurityProfile | undefined {
  const { apparmor, apparmorProfile: old = '' } = security ?? {};
  return apparmor ?? oldProfile('apparmor_profile', old);
}

const localhost = 'localhost/';

function oldProfile(field: string, text: string): v1.SecurityProfile | undefined {
  switch (text) {
    case '':
      return undefined;
    case 'unconfined':
      return { profileType: 'Unconfined' };
    case 'runtime/default':
    case 'docker/default':
      return { profileType: 'RuntimeDefault' };
    default:
      // Left out in silence, the program would run without what was to hold it.
      if (!text.startsWith(localhost)) throw criError('invalid-argument', `${field}: there is no profile "${text}"`);
      return { profileType: 'Localhost', localhostRef: text.slice(localhost.length) };
  }
}
