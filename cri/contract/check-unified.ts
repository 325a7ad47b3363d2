import type * as v1 from '../../proto/generated/cri-v1.js';
import { criError } from './cri-error.js';

/** `unified` names files of a cgroup v2, each by its own name; on v1 there are none, and a limit left out would be a promise broken. */
export function checkUnified(
  verb: string,
  resources: v1.LinuxContainerResources | null | undefined,
  cgroupVersion: 1 | 2,
): void {
  for (const key of Object.keys(resources?.unified ?? {})) {
    if (cgroupVersion === 1) {
      throw criError(
        'failed-precondition',
        `${verb}: resources.unified (${key}) needs cgroup v2, and this machine has v1`,
      );
    }
    if (!/^[a-z_]+(\.[A-Za-z0-9_]+)+$/.test(key)) {
      throw criError('invalid-argument', `${verb}: resources.unified names "${key}", which is no file of a cgroup`);
    }
  }
}
