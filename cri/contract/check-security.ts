import type * as v1 from '../../proto/generated/cri-v1.js';
import { criError } from './cri-error.js';

interface RunAs {
  readonly runAsUser?: v1.Int64Value | null | undefined;
  readonly runAsGroup?: v1.Int64Value | null | undefined;
  /** Of containers only. */
  readonly runAsUsername?: string | undefined;
}

/** A group without a user is an error, says the interface: it would be given to whomever the image names. */
export function checkRunAs(what: string, security: RunAs | null | undefined): void {
  const { runAsUser, runAsGroup, runAsUsername = '' } = security ?? {};
  if (runAsGroup != null && runAsUser == null && runAsUsername === '') {
    throw criError('invalid-argument', `${what}: run_as_group without run_as_user`);
  }
}

/**
 * A privileged container needs a sandbox that is, says the interface. What counts is the configuration sent along, as in containerd: an
 * ephemeral container may make a pod privileged that was not. `sandboxIs` is undefined where nobody remembers.
 */
export function checkPrivileged(
  { config, sandboxConfig }: v1.CreateContainerRequest,
  sandboxIs: boolean | undefined,
): void {
  if (config?.linux?.securityContext?.privileged !== true || sandboxIs !== false) return;
  if (sandboxConfig?.linux?.securityContext?.privileged === true) return;
  const name = config.metadata?.name ?? '';
  throw criError('invalid-argument', `create container ${name}: it is privileged, and its sandbox is not`);
}
