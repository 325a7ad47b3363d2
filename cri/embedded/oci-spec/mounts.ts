import { posix } from 'node:path';
import type * as v1 from '../../../proto/generated/cri-v1.js';
import type { OciMount } from './oci-types.js';

export interface MountContext {
  readonly privileged: boolean;
  /** The pod's shared /dev/shm: a tmpfs of its own, or the host's. */
  readonly shmPath: string;
  readonly hostnamePath: string;
  readonly resolvConfPath: string;
  /** Mounted on /etc/hosts when the request brings none. */
  readonly hostsPath: string | undefined;
  readonly readonlyRootfs: boolean;
  /** Folders for the image's `VOLUME`s: container path to host path. */
  readonly imageVolumes: readonly { readonly containerPath: string; readonly hostPath: string }[];
}

/** CRI mounts whose source is known: `image` mounts carry the folder they were mounted at. */
export interface ResolvedMount {
  readonly containerPath: string;
  readonly hostPath: string;
  readonly readonly: boolean;
  readonly recursiveReadOnly: boolean;
  readonly propagation: v1.MountPropagation;
  /** Shows the ids of the container's user namespace instead of the host's. */
  readonly mapped: boolean;
}

/** All mounts of a container in the order the OCI runtime makes them: the defaults, then the pod's files, then what was asked. */
export function buildMounts(asked: readonly ResolvedMount[], context: MountContext): OciMount[] {
  const taken = new Set(asked.map((mount) => canonicalPath(mount.containerPath)));
  const defaults = [...kernelMounts(context), ...podMounts(context)].filter((mount) => !taken.has(mount.destination));
  const volumes = context.imageVolumes
    .filter((volume) => !taken.has(canonicalPath(volume.containerPath)))
    .map((volume) => bind(volume.hostPath, volume.containerPath, ['rbind', 'rprivate', 'rw']));
  const requested = asked
    // A parent must be mounted before what lies in it; equal depth keeps the order of the request.
    .map((mount, index) => ({ mount, index, depth: depth(mount.containerPath) }))
    .sort((a, b) => a.depth - b.depth || a.index - b.index)
    .map(({ mount }) => requestedMount(mount));
  return [...defaults, ...volumes, ...requested];
}

/** The propagation the container's root needs so that shared and slave mounts inside it work. */
export function rootfsPropagation(asked: readonly ResolvedMount[]): string | undefined {
  if (asked.some((mount) => mount.propagation === 'PROPAGATION_BIDIRECTIONAL')) return 'rshared';
  if (asked.some((mount) => mount.propagation === 'PROPAGATION_HOST_TO_CONTAINER')) return 'rslave';
  return undefined;
}

function kernelMounts(context: MountContext): OciMount[] {
  const sysMode = context.privileged ? 'rw' : 'ro';
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    // The file system shows the queues of the IPC namespace it is mounted from, the machine's too.
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', sysMode] },
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: ['nosuid', 'noexec', 'nodev', 'relatime', sysMode],
    },
  ];
}

function podMounts(context: MountContext): OciMount[] {
  const fileMode = context.readonlyRootfs ? 'ro' : 'rw';
  const mounts = [
    bind(context.shmPath, '/dev/shm', ['rbind', 'rprivate', 'rw']),
    bind(context.hostnamePath, '/etc/hostname', ['rbind', 'rprivate', fileMode]),
    bind(context.resolvConfPath, '/etc/resolv.conf', ['rbind', 'rprivate', fileMode]),
  ];
  if (context.hostsPath !== undefined) {
    mounts.push(bind(context.hostsPath, '/etc/hosts', ['rbind', 'rprivate', fileMode]));
  }
  return mounts;
}

function requestedMount(mount: ResolvedMount): OciMount {
  const options = ['rbind', propagationOption(mount.propagation)];
  if (!mount.readonly) options.push('rw');
  else options.push(...(mount.recursiveReadOnly ? ['ro', 'rro'] : ['ro']));
  if (mount.mapped) options.push('idmap');
  return bind(mount.hostPath, mount.containerPath, options);
}

function propagationOption(propagation: v1.MountPropagation): string {
  switch (propagation) {
    case 'PROPAGATION_PRIVATE':
      return 'rprivate';
    case 'PROPAGATION_HOST_TO_CONTAINER':
      return 'rslave';
    case 'PROPAGATION_BIDIRECTIONAL':
      return 'rshared';
  }
}

function bind(source: string, destination: string, options: readonly string[]): OciMount {
  return { destination, type: 'bind', source, options };
}

function depth(path: string): number {
  return canonicalPath(path)
    .split('/')
    .filter((part) => part !== '').length;
}

/** One spelling per path: absolute, without dots, doubled or trailing slashes. */
export function canonicalPath(path: string): string {
  return posix.resolve('/', path);
}
