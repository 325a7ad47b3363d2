import type * as v1 from '../../../proto/generated/cri-v1.js';
import { criError } from '../../contract/cri-error.js';
import type { RuntimeContext } from '../context.js';
import { programName } from '../host/oci-program.js';
import type { IdRange } from '../state/records.js';

/** The range a sandbox asks for; undefined when its users are the host's. Fails when it cannot be had here, with the reason. */
export function userNamespaceOf(
  context: RuntimeContext,
  request: v1.RunPodSandboxRequest,
  what: string,
): IdRange | undefined {
  const options = request.config?.linux?.securityContext?.namespaceOptions;
  if (!options?.usernsOptions) return undefined;
  const { mode = 'POD' } = options.usernsOptions;
  if (mode === 'NODE') return undefined;
  if (mode !== 'POD') throw criError('invalid-argument', `${what}: there is no user namespace of mode ${mode}`);
  const lack = userNamespaceLack(context, request.runtimeHandler ?? '');
  if (lack !== '') throw criError('failed-precondition', `${what}: no user namespace: ${lack}`);
  for (const shared of ['network', 'ipc', 'pid'] as const) {
    if (options[shared] === 'NODE') {
      throw criError(
        'invalid-argument',
        `${what}: a user namespace of its own and the ${shared} namespace of the host`,
      );
    }
  }
  return idRange(options.usernsOptions, what);
}

/** Why pods of a handler cannot have one; empty when they can. Of runc, ID-mapped mounts came with 1.2. */
export function userNamespaceLack(context: RuntimeContext, handler: string): string {
  const { host } = context;
  if (host.userNamespacesLack !== '') return host.userNamespacesLack;
  const name = programName(context.ociRuntime(handler));
  return name === 'crun' ? '' : `runtime handler ${name} is not known to do ID-mapped mounts, crun does`;
}

/** One range, the same for users and groups, from 0 on: what the kubelet sends. */
export function idRange(namespace: v1.UserNamespace, what: string): IdRange {
  const [uids, ...moreUids] = namespace.uids ?? [];
  const [gids, ...moreGids] = namespace.gids ?? [];
  if (uids === undefined || gids === undefined || moreUids.length > 0 || moreGids.length > 0) {
    throw criError('invalid-argument', `${what}: a user namespace needs one mapping of users and one of groups`);
  }
  const { hostId = 0, containerId = 0, length = 0 } = uids;
  if (containerId !== 0 || length === 0) {
    throw criError('invalid-argument', `${what}: the mapping of a user namespace must begin at 0 and not be empty`);
  }
  if (gids.hostId !== uids.hostId || (gids.containerId ?? 0) !== 0 || gids.length !== uids.length) {
    throw criError('invalid-argument', `${what}: the mappings of users and groups differ`);
  }
  return { hostId, length };
}

/** Whether a mount is to show the namespace's ids instead of the host's; only as the sandbox itself is mapped. */
export function isMapped(mount: v1.Mount, range: IdRange | undefined, what: string): boolean {
  const { uidMappings = [], gidMappings = [] } = mount;
  if (uidMappings.length === 0 && gidMappings.length === 0) return false;
  const asked = idRange({ uids: uidMappings, gids: gidMappings }, `${what}: mount ${mount.containerPath ?? ''}`);
  if (range === undefined || asked.hostId !== range.hostId || asked.length !== range.length) {
    throw criError('invalid-argument', `${what}: mount ${mount.containerPath ?? ''} is not mapped as its sandbox is`);
  }
  return true;
}
