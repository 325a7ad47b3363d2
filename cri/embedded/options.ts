import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { RunProgram } from '../../base/run-program.js';
import type { SandboxNetwork } from '../contract/sandbox-network.js';
import type { ImageLookup } from './images/image-store.js';
import type { OciRlimit, OciSpec } from './oci-spec/oci-types.js';

export interface EmbeddedRuntimeOptions {
  /** Survives a reboot: records and writable layers (`/var/lib/berth/runtime`). */
  readonly stateDir: string;
  /** Emptied by a reboot: namespaces, bundles, exit files (`/run/berth`). On tmpfs; written without waiting. */
  readonly runDir: string;
  /** OCI runtime programs by RuntimeClass handler. */
  readonly ociRuntimes: Readonly<Record<string, string>>;
  /** Handler of pods that name none. */
  readonly defaultHandler: string;
  readonly conmonPath: string;
  /** What `runtimeConfig` reports and containers are placed with. */
  readonly cgroupDriver: 'cgroupfs' | 'systemd';
  /** Static program that reaps orphans in a PID namespace shared by a pod (Debian package `catatonit`). */
  readonly initPath: string;
  /** The RuntimeDefault profile (Debian package `golang-github-containers-common`). */
  readonly seccompProfilePath: string;
  /** AppArmor profile that RuntimeDefault means where the machine has AppArmor; empty for none. */
  readonly apparmorProfile: string;
  readonly shmSizeBytes: number;
  /** Given to every container, cut to what this process may set. */
  readonly rlimits: readonly OciRlimit[];
  /** Longest a call of the OCI runtime or conmon may take. */
  readonly ociTimeoutMs: number;
  readonly version: string;
}

export function embeddedRuntimeDefaults(): EmbeddedRuntimeOptions {
  return {
    stateDir: '/var/lib/berth/runtime',
    runDir: '/run/berth',
    ociRuntimes: { crun: '/usr/bin/crun', runc: '/usr/sbin/runc' },
    defaultHandler: 'crun',
    conmonPath: '/usr/bin/conmon',
    cgroupDriver: 'cgroupfs',
    initPath: '/usr/bin/catatonit',
    seccompProfilePath: '/usr/share/containers/seccomp.json',
    apparmorProfile: '',
    shmSizeBytes: 64 * 1024 * 1024,
    rlimits: [],
    ociTimeoutMs: 120_000,
    version: '0.1.0',
  };
}

/** Puts the edits of the named CDI devices into a container's specification. */
export type ApplyCdi = (deviceNames: readonly string[], spec: OciSpec, signal: AbortSignal) => Promise<OciSpec>;

/** Points of a verb at which a test ends the process; each is after one deed and before the next. */
export type RuntimeStep =
  | 'sandbox-recorded'
  | 'sandbox-pinned'
  | 'sandbox-attached'
  | 'sandbox-ready'
  | 'container-recorded'
  | 'container-mounted'
  | 'container-spec-written'
  | 'container-created'
  | 'container-started'
  | 'container-stopping'
  | 'container-deleted'
  | 'container-unmounted'
  | 'container-removed'
  | 'sandbox-stopping'
  | 'sandbox-detached'
  | 'sandbox-unpinned'
  | 'sandbox-removed';

export interface EmbeddedRuntimeDeps {
  readonly run: RunProgram;
  readonly recorder: CallRecorder;
  readonly log: Logger;
  readonly clock: Clock;
  readonly images: ImageLookup;
  readonly network: SandboxNetwork;
  /** `/proc/sys/kernel/random/boot_id`: another one than in a record means that everything of the record has ended. */
  readonly bootId: string;
  readonly applyCdi?: ApplyCdi | undefined;
  /** Fault hook of the tests. */
  readonly at?: ((step: RuntimeStep, id: string) => void | Promise<void>) | undefined;
}
