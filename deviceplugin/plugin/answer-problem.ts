import { isAbsolute } from 'node:path';
import type { ContainerAllocateResponse } from '../../proto/generated/deviceplugin-v1beta1.js';

/** Why a container cannot be made from this answer: found here, it names the plugin; found by the runtime, it does not. */
export function answerProblem(answer: ContainerAllocateResponse): string | undefined {
  for (const { hostPath = '', containerPath = '', permissions = '' } of answer.devices ?? []) {
    if (!isAbsolute(hostPath)) return `device ${containerPath} has the host path "${hostPath}", which is not absolute`;
    if (!isAbsolute(containerPath)) return `device ${hostPath} has the container path "${containerPath}", not absolute`;
    if (!/^[rwm]*$/.test(permissions)) return `device ${hostPath} has the permissions "${permissions}"`;
  }
  for (const { hostPath = '', containerPath = '' } of answer.mounts ?? []) {
    if (!isAbsolute(hostPath)) return `mount ${containerPath} has the host path "${hostPath}", which is not absolute`;
    if (!isAbsolute(containerPath)) return `mount ${hostPath} has the container path "${containerPath}", not absolute`;
  }
  for (const name of Object.keys(answer.envs ?? {})) {
    if (name === '' || name.includes('=')) return `environment variable "${name}" is no name`;
  }
  return undefined;
}
