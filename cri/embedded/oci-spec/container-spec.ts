import type {
  OciDevice,
  OciDeviceRule,
  OciIdMapping,
  OciLinux,
  OciNamespace,
  OciProcess,
  OciSpec,
} from './oci-types.js';

/** Facts the spec of one container is put together from; everything is decided, nothing is looked up any more. */
export interface ContainerSpecParts {
  readonly process: OciProcess;
  readonly rootPath: string;
  readonly readonlyRootfs: boolean;
  readonly hostname: string | undefined;
  readonly mounts: OciSpec['mounts'];
  readonly annotations: Readonly<Record<string, string>>;
  readonly namespaces: readonly OciNamespace[];
  /** Of the user namespace that is joined. */
  readonly idMappings: readonly OciIdMapping[] | undefined;
  readonly cgroupsPath: string;
  readonly resources: OciLinux['resources'];
  readonly privileged: boolean;
  readonly devices: readonly OciDevice[];
  readonly deviceRules: readonly OciDeviceRule[];
  readonly sysctls: Readonly<Record<string, string>>;
  readonly seccomp: OciLinux['seccomp'];
  readonly rootfsPropagation: string | undefined;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  readonly mountLabel: string;
}

export function containerSpec(parts: ContainerSpecParts): OciSpec {
  const deny: OciDeviceRule[] = [{ allow: parts.privileged, access: 'rwm' }];
  return {
    ociVersion: '1.0.2',
    process: parts.process,
    root: { path: parts.rootPath, readonly: parts.readonlyRootfs },
    hostname: parts.hostname,
    mounts: parts.mounts,
    annotations: parts.annotations,
    linux: {
      namespaces: parts.namespaces,
      uidMappings: parts.idMappings,
      gidMappings: parts.idMappings,
      cgroupsPath: parts.cgroupsPath,
      resources: { ...parts.resources, devices: [...deny, ...parts.deviceRules] },
      devices: parts.devices.length > 0 ? parts.devices : undefined,
      sysctl: Object.keys(parts.sysctls).length > 0 ? parts.sysctls : undefined,
      seccomp: parts.seccomp,
      rootfsPropagation: parts.rootfsPropagation,
      maskedPaths: parts.privileged ? undefined : parts.maskedPaths,
      readonlyPaths: parts.privileged ? undefined : parts.readonlyPaths,
      mountLabel: parts.mountLabel === '' ? undefined : parts.mountLabel,
    },
  };
}

export interface NamespacePaths {
  readonly user: string | undefined;
  readonly net: string | undefined;
  readonly ipc: string | undefined;
  readonly uts: string | undefined;
  /** `private` is a new one; a path joins; undefined is the host's. */
  readonly pid: 'private' | { readonly path: string } | undefined;
  /** A cgroup namespace of its own; a privileged container on v1 sees the host's. */
  readonly cgroup: boolean;
}

/** A type that is absent from the list is the host's. */
export function namespaceList(paths: NamespacePaths): OciNamespace[] {
  const list: OciNamespace[] = [{ type: 'mount' }];
  if (paths.user !== undefined) list.push({ type: 'user', path: paths.user });
  if (paths.pid === 'private') list.push({ type: 'pid' });
  else if (paths.pid !== undefined) list.push({ type: 'pid', path: paths.pid.path });
  if (paths.net !== undefined) list.push({ type: 'network', path: paths.net });
  if (paths.ipc !== undefined) list.push({ type: 'ipc', path: paths.ipc });
  if (paths.uts !== undefined) list.push({ type: 'uts', path: paths.uts });
  if (paths.cgroup) list.push({ type: 'cgroup' });
  return list;
}
