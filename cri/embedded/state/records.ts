import type * as v1 from '../../../proto/generated/cri-v1.js';

/** Ids of the host that a user namespace has: its 0 is `hostId`. The same for users and groups. */
export interface IdRange {
  readonly hostId: number;
  readonly length: number;
}

/** What is on disk of a sandbox, written before anything of it is made. */
export interface SandboxRecord {
  readonly id: string;
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly namespace: string;
    readonly attempt: number;
  };
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number;
  readonly bootId: string;
  readonly hostname: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly logDirectory: string;
  /** As in the request, may be empty. */
  readonly runtimeHandler: string;
  readonly cgroupParent: string;
  readonly network: 'POD' | 'NODE';
  readonly ipc: 'POD' | 'NODE';
  readonly pid: 'POD' | 'CONTAINER' | 'NODE';
  /** Absent where the users are the host's. */
  readonly userNamespace?: IdRange | undefined;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly privileged: boolean;
  /** Set when it became ready; the addresses, primary first. */
  readonly ready?: { readonly ips: readonly string[] } | undefined;
  /** Set when stopping began; from then on it is not ready. */
  readonly stopped?: boolean | undefined;
}

export interface ContainerExit {
  readonly code: number;
  readonly finishedAtMs: number;
  readonly reason: string;
  readonly message: string;
}

/** What is on disk of a container, written before anything of it is made. */
export interface ContainerRecord {
  readonly id: string;
  readonly sandboxId: string;
  readonly metadata: { readonly name: string; readonly attempt: number };
  readonly createdAtMs: number;
  readonly bootId: string;
  /** OCI runtime program it was made with. */
  readonly ociRuntime: string;
  readonly image: v1.ImageSpec;
  readonly imageRef: string;
  readonly imageId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly mounts: readonly v1.Mount[];
  /** Absolute; empty for none. */
  readonly logPath: string;
  readonly stopSignal: number;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  readonly resources: v1.LinuxContainerResources;
  /** Path below each cgroup hierarchy. */
  readonly cgroup: string;
  /** Its first process is PID 1 of a namespace of its own: ending it ends all. */
  readonly privatePid: boolean;
  /** Mount points below the bundle, the root first. */
  readonly mountPoints: readonly string[];
  readonly user?: v1.LinuxContainerUser | undefined;
  readonly startedAtMs?: number | undefined;
  readonly exit?: ContainerExit | undefined;
}

export const recordVersion = 1;

/** The checksum vouches for the rest; what is looked at here is that the record is one, and of this id. */
export function sandboxRecordParser(id: string): (data: unknown) => SandboxRecord {
  return (data) => {
    requireFields(data, id, ['metadata', 'createdAtMs', 'bootId', 'labels', 'network', 'pid']);
    return data as SandboxRecord;
  };
}

export function containerRecordParser(id: string): (data: unknown) => ContainerRecord {
  return (data) => {
    requireFields(data, id, ['sandboxId', 'metadata', 'createdAtMs', 'bootId', 'ociRuntime', 'labels', 'mountPoints']);
    return data as ContainerRecord;
  };
}

function requireFields(data: unknown, id: string, fields: readonly string[]): void {
  if (typeof data !== 'object' || data === null) throw new Error('not an object');
  if (!('id' in data) || data.id !== id) throw new Error('not the record of this id');
  const missing = fields.filter((field) => !(field in data));
  if (missing.length > 0) throw new Error(`without ${missing.join(', ')}`);
}
