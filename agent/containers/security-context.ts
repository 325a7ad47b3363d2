import type {
  LinuxContainerSecurityContext,
  LinuxSandboxSecurityContext,
  NamespaceOption,
  SecurityProfile as CriProfile,
} from '../../proto/generated/cri-v1.js';
import {
  podFullName,
  type AppArmorProfile,
  type Container,
  type EphemeralContainer,
  type Pod,
  type SeccompProfile,
  type SecurityContext,
} from '../api/index.js';
import { StepError } from '../executors/step-error.js';

/** What the image says of its user: a uid, a name, or neither (root). */
export interface ImageUser {
  readonly uid: number | undefined;
  readonly username: string;
}

export interface SecurityDefaults {
  /** Containers that say nothing get RuntimeDefault. */
  readonly seccompDefault: boolean;
  /** Folder of Localhost seccomp profiles. */
  readonly seccompRoot: string;
}

/** Pod fields overlaid field by field by the container's (facts 13). */
export function effectiveSecurityContext(pod: Pod, container: Container | EphemeralContainer): SecurityContext {
  const { runAsUser, runAsGroup, runAsNonRoot, seLinuxOptions, seccompProfile, appArmorProfile } =
    pod.spec?.securityContext ?? {};
  const own = Object.fromEntries(
    Object.entries(container.securityContext ?? {}).filter(([, value]) => value !== undefined),
  );
  return { runAsUser, runAsGroup, runAsNonRoot, seLinuxOptions, seccompProfile, appArmorProfile, ...own };
}

export function containerSecurityContext(
  pod: Pod,
  container: Container | EphemeralContainer,
  image: ImageUser,
  volumeGroups: readonly number[],
  targetId: string | undefined,
  defaults: SecurityDefaults,
): LinuxContainerSecurityContext {
  const context = effectiveSecurityContext(pod, container);
  refuseRoot(context, pod, container.name, image);
  const unmasked = context.procMount === 'Unmasked';
  return {
    privileged: context.privileged ?? false,
    namespaceOptions: namespaceOptions(pod, targetId),
    selinuxOptions: context.seLinuxOptions ?? null,
    ...runAs(context, image),
    readonlyRootfs: context.readOnlyRootFilesystem ?? false,
    supplementalGroups: supplementalGroups(pod, volumeGroups),
    supplementalGroupsPolicy: pod.spec?.securityContext?.supplementalGroupsPolicy ?? 'Merge',
    noNewPrivs: noNewPrivs(context),
    capabilities: {
      addCapabilities: context.capabilities?.add ?? [],
      dropCapabilities: context.capabilities?.drop ?? [],
    },
    maskedPaths: unmasked || context.privileged ? [] : maskedPaths,
    readonlyPaths: unmasked || context.privileged ? [] : readonlyPaths,
    seccomp: seccompProfile(context.seccompProfile, context.privileged ?? false, defaults),
    apparmor: appArmor(context.appArmorProfile),
  };
}

export function sandboxSecurityContext(pod: Pod, defaults: SecurityDefaults): LinuxSandboxSecurityContext {
  const context = pod.spec?.securityContext ?? {};
  const { initContainers = [], containers = [], ephemeralContainers = [] } = pod.spec ?? {};
  const all = [...initContainers, ...containers, ...ephemeralContainers];
  const { runAsUser, runAsGroup } = context;
  return {
    privileged: all.some((container) => container.securityContext?.privileged === true),
    namespaceOptions: namespaceOptions(pod, undefined),
    selinuxOptions: context.seLinuxOptions ?? null,
    runAsUser: runAsUser === undefined ? null : { value: runAsUser },
    // A group without a user is an error to the interface; the user of a container may come from its image, a sandbox has none.
    runAsGroup: runAsUser === undefined || runAsGroup === undefined ? null : { value: runAsGroup },
    supplementalGroups: supplementalGroups(pod, []),
    supplementalGroupsPolicy: context.supplementalGroupsPolicy ?? 'Merge',
    seccomp: seccompProfile({ type: 'RuntimeDefault' }, false, defaults),
  };
}

/** Namespaces a pod shares with the node or among its containers; `targetId` is the container an ephemeral one joins. */
export function namespaceOptions(pod: Pod, targetId: string | undefined): NamespaceOption {
  const { hostNetwork, hostIPC, hostPID, shareProcessNamespace } = pod.spec ?? {};
  const shared = shareProcessNamespace === true ? 'POD' : 'CONTAINER';
  const pid = hostPID === true ? 'NODE' : shared;
  return {
    network: hostNetwork === true ? 'NODE' : 'POD',
    ipc: hostIPC === true ? 'NODE' : 'POD',
    ...(targetId === undefined ? { pid } : { pid: 'TARGET', targetId }),
  };
}

function refuseRoot(context: SecurityContext, pod: Pod, name: string, image: ImageUser): void {
  if (context.runAsNonRoot !== true) return;
  const refuse = (why: string): never => {
    const who = `${podFullName(pod)}(${pod.metadata?.uid ?? ''})`;
    throw new StepError('CreateContainerConfigError', `${why} (pod: "${who}", container: ${name})`);
  };
  if (context.runAsUser !== undefined) {
    if (context.runAsUser === 0) refuse("container's runAsUser breaks non-root policy");
    return;
  }
  if (image.uid !== undefined && image.uid !== 0) return;
  if (image.uid === undefined && image.username !== '') {
    refuse(
      `container has runAsNonRoot and image has non-numeric user (${image.username}), cannot verify user is non-root`,
    );
  }
  refuse('container has runAsNonRoot and image will run as root');
}

function runAs(context: SecurityContext, image: ImageUser): LinuxContainerSecurityContext {
  const group = context.runAsGroup === undefined ? {} : { runAsGroup: { value: context.runAsGroup } };
  if (context.runAsUser !== undefined) return { runAsUser: { value: context.runAsUser }, ...group };
  if (image.uid !== undefined) return { runAsUser: { value: image.uid }, ...group };
  return image.username === '' ? { runAsUser: { value: 0 }, ...group } : { runAsUsername: image.username, ...group };
}

function supplementalGroups(pod: Pod, volumeGroups: readonly number[]): number[] {
  const { fsGroup, supplementalGroups: own = [] } = pod.spec?.securityContext ?? {};
  return [...new Set([...(fsGroup === undefined ? [] : [fsGroup]), ...own, ...volumeGroups])];
}

function noNewPrivs(context: SecurityContext): boolean {
  return context.allowPrivilegeEscalation === false;
}

function seccompProfile(
  profile: SeccompProfile | undefined,
  privileged: boolean,
  defaults: SecurityDefaults,
): CriProfile {
  if (!profile) {
    return { profileType: defaults.seccompDefault && !privileged ? 'RuntimeDefault' : 'Unconfined', localhostRef: '' };
  }
  if (profile.type !== 'Localhost') {
    return { profileType: profile.type === 'RuntimeDefault' ? 'RuntimeDefault' : 'Unconfined', localhostRef: '' };
  }
  const path = profile.localhostProfile ?? '';
  if (path === '' || path.startsWith('/') || path.split('/').includes('..')) {
    throw new StepError(
      'CreateContainerConfigError',
      `seccomp profile "${path}": must be a path below ${defaults.seccompRoot}`,
    );
  }
  return { profileType: 'Localhost', localhostRef: `${defaults.seccompRoot}/${path}` };
}

function appArmor(profile: AppArmorProfile | undefined): CriProfile | null {
  if (!profile) return null;
  switch (profile.type) {
    case 'RuntimeDefault':
    case 'Unconfined':
      return { profileType: profile.type, localhostRef: '' };
    default:
      return { profileType: 'Localhost', localhostRef: profile.localhostProfile ?? '' };
  }
}

/** What procMount Default hides and what it makes read-only (facts 13). */
const maskedPaths = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];
