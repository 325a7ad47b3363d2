import { existsSync } from 'node:fs';
import { readIfPresent } from '../../base/atomic-file.js';
import { allContainers, type Pod } from '../api/index.js';
import { mountHolding, readMountInfo } from './mounts/mount-table.js';
import type { PodVolume } from './volume-plugin.js';
import { VolumeProblem } from './volume-error.js';

type SeLinuxOptions = NonNullable<NonNullable<NonNullable<Pod['spec']>['securityContext']>['seLinuxOptions']>;

/** What files of containers are labelled where the policy does not say. */
const usualFileContext = 'system_u:object_r:container_file_t:s0';

/** The label of containers' files by the machine's policy; undefined where SELinux is off. */
export async function readFileContext(root = '/'): Promise<string | undefined> {
  if (!existsSync(`${root}sys/fs/selinux/enforce`)) return undefined;
  const config = (await readIfPresent(`${root}etc/selinux/config`)) ?? '';
  const policy = /^\s*SELINUXTYPE\s*=\s*(\S+)/m.exec(config)?.[1] ?? 'targeted';
  const contexts = (await readIfPresent(`${root}etc/selinux/${policy}/contexts/lxc_contexts`)) ?? '';
  return /^\s*file\s*=\s*"?([^"\s]+)"?/m.exec(contexts)?.[1] ?? usualFileContext;
}

export interface MountLabelFacts {
  /** Undefined where SELinux is off. */
  readonly fileContext: string | undefined;
  /** `seLinuxMount` of the CSIDriver. */
  readonly driverMounts: boolean;
}

/**
 * The label a whole volume is mounted with (`-o context=`), so that nobody changes file after file: for a ReadWriteOncePod volume of a driver that
 * says it can, in a pod whose containers agree on it. Undefined: the runtime labels the files.
 */
export function seLinuxMountLabel(volume: PodVolume, facts: MountLabelFacts): string | undefined {
  const { fileContext, driverMounts } = facts;
  if (fileContext === undefined || !driverMounts || volume.block || volume.origin.kind !== 'persistent')
    return undefined;
  const modes = volume.origin.persistentVolume.spec?.accessModes ?? [];
  if (modes.length !== 1 || modes[0] !== 'ReadWriteOncePod') return undefined;
  if (volume.pod.spec?.securityContext?.seLinuxChangePolicy === 'Recursive') return undefined;
  const labels = new Set(containerOptions(volume).map((options) => fileLabel(options, fileContext)));
  if (labels.size > 1)
    throw new VolumeProblem(
      'refused',
      `multiple SELinux labels found: ${[...labels].map((one) => one ?? '').join(',')}`,
    );
  return [...labels][0];
}

/** Of the containers that mount the volume; one's own options stand for the pod's as a whole. */
function containerOptions({ pod, name }: PodVolume): SeLinuxOptions[] {
  return allContainers(pod)
    .filter(({ container }) => container.volumeMounts?.some((mount) => mount.name === name))
    .flatMap(
      ({ container }) => container.securityContext?.seLinuxOptions ?? pod.spec?.securityContext?.seLinuxOptions ?? [],
    );
}

/** Role and type of files are the policy's own. Without a level the runtime chooses one that nobody knows yet. */
function fileLabel({ user = '', level = '' }: SeLinuxOptions, fileContext: string): string | undefined {
  if (level === '') return undefined;
  const [usualUser = '', role = '', type = ''] = fileContext.split(':');
  return [user === '' ? usualUser : user, role, type, level].join(':');
}

/** Quoted, because a level holds commas. */
export const contextOptions = (label: string | undefined): string[] =>
  label === undefined ? [] : [`context="${label}"`];

/** Files of the file system can be labelled one by one. */
export async function takesLabels(path: string): Promise<boolean> {
  return (
    mountHolding(await readMountInfo(), path)
      ?.superOptions.split(',')
      .includes('seclabel') ?? false
  );
}
