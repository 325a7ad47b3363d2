import type { HookName } from './cdi-spec.js';

/** The parts of an OCI runtime specification that CDI may change; everything else of it is carried along untouched. */
export interface OciSpec {
  readonly process?:
    | {
        readonly env?: readonly string[] | undefined;
        readonly user?:
          | {
              readonly uid?: number | undefined;
              readonly gid?: number | undefined;
              readonly additionalGids?: readonly number[] | undefined;
            }
          | undefined;
      }
    | undefined;
  readonly mounts?: readonly OciMount[] | undefined;
  readonly hooks?: { readonly [N in HookName]?: readonly OciHook[] | undefined } | undefined;
  readonly linux?:
    | {
        readonly devices?: readonly OciDevice[] | undefined;
        readonly namespaces?: ReadonlyArray<{ readonly type: string }> | undefined;
        readonly resources?: { readonly devices?: readonly OciDeviceRule[] | undefined } | undefined;
        readonly intelRdt?: object | undefined;
        readonly netDevices?: Readonly<Record<string, { readonly name: string }>> | undefined;
      }
    | undefined;
}

export interface OciMount {
  readonly destination: string;
  readonly source?: string | undefined;
  readonly type?: string | undefined;
  readonly options?: readonly string[] | undefined;
}

export interface OciHook {
  readonly path: string;
  readonly args?: readonly string[] | undefined;
  readonly env?: readonly string[] | undefined;
  readonly timeout?: number | undefined;
}

export interface OciDevice {
  readonly path: string;
  readonly type: string;
  readonly major: number;
  readonly minor: number;
  readonly fileMode?: number | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
}

export interface OciDeviceRule {
  readonly allow: boolean;
  readonly type?: string | undefined;
  readonly major?: number | undefined;
  readonly minor?: number | undefined;
  readonly access?: string | undefined;
}
