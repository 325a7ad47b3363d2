/** The part of the OCI runtime specification 1.0 (`config.json`) that is written here. */
export interface OciMount {
  readonly destination: string;
  readonly type?: string | undefined;
  readonly source: string;
  readonly options?: readonly string[] | undefined;
}

export interface OciUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids?: readonly number[] | undefined;
}

export interface OciCapabilities {
  readonly bounding: readonly string[];
  readonly effective: readonly string[];
  readonly permitted: readonly string[];
  readonly inheritable: readonly string[];
  readonly ambient: readonly string[];
}

export interface OciRlimit {
  readonly type: string;
  readonly soft: number;
  readonly hard: number;
}

export interface OciProcess {
  readonly terminal?: boolean | undefined;
  readonly consoleSize?: { readonly height: number; readonly width: number } | undefined;
  readonly user: OciUser;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly capabilities?: OciCapabilities | undefined;
  readonly rlimits?: readonly OciRlimit[] | undefined;
  readonly noNewPrivileges?: boolean | undefined;
  readonly apparmorProfile?: string | undefined;
  readonly selinuxLabel?: string | undefined;
  readonly oomScoreAdj?: number | undefined;
}

export interface OciDevice {
  readonly path: string;
  readonly type: 'c' | 'b' | 'p';
  readonly major: number;
  readonly minor: number;
  readonly fileMode?: number | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
}

export interface OciDeviceRule {
  readonly allow: boolean;
  readonly type?: 'a' | 'c' | 'b' | undefined;
  readonly major?: number | undefined;
  readonly minor?: number | undefined;
  readonly access: string;
}

export interface OciResources {
  readonly devices?: readonly OciDeviceRule[] | undefined;
  readonly memory?:
    | {
        readonly limit?: number | undefined;
        readonly swap?: number | undefined;
        readonly reservation?: number | undefined;
      }
    | undefined;
  readonly cpu?:
    | {
        readonly shares?: number | undefined;
        readonly quota?: number | undefined;
        readonly period?: number | undefined;
        readonly cpus?: string | undefined;
        readonly mems?: string | undefined;
      }
    | undefined;
  readonly pids?: { readonly limit: number } | undefined;
  readonly hugepageLimits?: readonly { readonly pageSize: string; readonly limit: number }[] | undefined;
  readonly unified?: Readonly<Record<string, string>> | undefined;
}

export type OciNamespaceType = 'mount' | 'pid' | 'network' | 'ipc' | 'uts' | 'user' | 'cgroup';

export interface OciNamespace {
  readonly type: OciNamespaceType;
  readonly path?: string | undefined;
}

export interface OciSeccompArg {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number | undefined;
  readonly op: string;
}

export interface OciSyscall {
  readonly names: readonly string[];
  readonly action: string;
  readonly errnoRet?: number | undefined;
  readonly args?: readonly OciSeccompArg[] | undefined;
}

export interface OciSeccomp {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number | undefined;
  readonly architectures?: readonly string[] | undefined;
  readonly flags?: readonly string[] | undefined;
  readonly listenerPath?: string | undefined;
  readonly syscalls?: readonly OciSyscall[] | undefined;
}

export interface OciIdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

export interface OciLinux {
  readonly namespaces: readonly OciNamespace[];
  readonly uidMappings?: readonly OciIdMapping[] | undefined;
  readonly gidMappings?: readonly OciIdMapping[] | undefined;
  readonly cgroupsPath: string;
  readonly resources?: OciResources | undefined;
  readonly devices?: readonly OciDevice[] | undefined;
  readonly sysctl?: Readonly<Record<string, string>> | undefined;
  readonly seccomp?: OciSeccomp | undefined;
  readonly rootfsPropagation?: string | undefined;
  readonly maskedPaths?: readonly string[] | undefined;
  readonly readonlyPaths?: readonly string[] | undefined;
  readonly mountLabel?: string | undefined;
}

export interface OciHook {
  readonly path: string;
  readonly args?: readonly string[] | undefined;
  readonly env?: readonly string[] | undefined;
  readonly timeout?: number | undefined;
}

export interface OciSpec {
  readonly ociVersion: string;
  readonly process: OciProcess;
  readonly root: { readonly path: string; readonly readonly?: boolean | undefined };
  readonly hostname?: string | undefined;
  readonly mounts: readonly OciMount[];
  readonly hooks?: Readonly<Record<string, readonly OciHook[]>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly linux: OciLinux;
}
