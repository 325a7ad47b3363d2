import type * as v1 from '../../proto/generated/cri-v1.js';
import { criError } from '../contract/cri-error.js';

const instead = 'use the embedded runtime, containerd or CRI-O for this pod';

function refuse(verb: string, what: string): never {
  throw criError('unimplemented', `${verb}: ${what} cannot be had on Docker; ${instead}`);
}

/** What a sandbox may ask that Docker has no words for. Left out in silence it would be a promise broken. */
export function refuseUnsupportedSandbox(config: v1.PodSandboxConfig): void {
  const verb = `run sandbox ${config.metadata?.name ?? ''}`;
  refuseUserNamespace(verb, config.linux?.securityContext?.namespaceOptions);
  refuseStrictGroups(verb, config.linux?.securityContext?.supplementalGroupsPolicy);
  // It is the UTS namespace's, and each container has one of its own.
  const domain = Object.keys(config.linux?.sysctls ?? {}).find((name) => /^kernel[./]domainname$/.test(name));
  if (domain !== undefined) refuse(verb, `sysctl ${domain}`);
}

export function refuseUnsupportedContainer(config: v1.ContainerConfig): void {
  const verb = `create container ${config.metadata?.name ?? ''}`;
  const security = config.linux?.securityContext;
  refuseUserNamespace(verb, security?.namespaceOptions);
  refuseStrictGroups(verb, security?.supplementalGroupsPolicy);
  const [cdi] = config.CDIDevices ?? [];
  if (cdi) refuse(verb, `CDI device ${cdi.name ?? ''}`);
  const [ambient] = security?.capabilities?.addAmbientCapabilities ?? [];
  if (ambient) refuse(verb, `ambient capability ${ambient}`);
  for (const mount of config.mounts ?? []) refuseMount(`${verb}: mount ${mount.containerPath ?? ''}`, mount);
}

function refuseMount(verb: string, mount: v1.Mount): void {
  if (mount.image?.image) refuse(verb, `an image volume (${mount.image.image})`);
  if (mount.recursiveReadOnly === true) refuse(verb, 'a recursively read-only mount');
  if ((mount.uidMappings ?? []).length > 0 || (mount.gidMappings ?? []).length > 0) refuse(verb, 'an id-mapped mount');
}

/** Docker maps users for the whole daemon or not at all. */
function refuseUserNamespace(verb: string, options: v1.NamespaceOption | null | undefined): void {
  const { usernsOptions } = options ?? {};
  if (!usernsOptions) return;
  const { mode = 'POD' } = usernsOptions;
  if (mode === 'POD') refuse(verb, 'a user namespace of its own (hostUsers: false)');
  if (mode !== 'NODE') throw criError('invalid-argument', `${verb}: there is no user namespace of mode ${mode}`);
}

function refuseStrictGroups(verb: string, policy: v1.SupplementalGroupsPolicy | undefined): void {
  if (policy === 'Strict') refuse(verb, 'supplementalGroupsPolicy Strict');
}
