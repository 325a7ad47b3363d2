/** The fields of the Engine's answers that are used, as its API reference has them. */
export interface ListedContainer {
  readonly Id: string;
  readonly Names: readonly string[];
  readonly Image: string;
  readonly ImageID: string;
  readonly Labels: Readonly<Record<string, string>>;
  readonly State: string;
  /** Seconds. */
  readonly Created: number;
  /** Only when asked for, and not when it is nothing. */
  readonly SizeRw?: number;
}

export interface InspectedContainer {
  readonly Id: string;
  readonly Created: string;
  readonly Image: string;
  readonly LogPath: string;
  readonly State: {
    readonly Status: string;
    readonly Running: boolean;
    readonly Pid: number;
    readonly ExitCode: number;
    readonly Error: string;
    readonly OOMKilled: boolean;
    readonly StartedAt: string;
    readonly FinishedAt: string;
  };
  readonly Config: {
    readonly Image: string;
    readonly Labels: Readonly<Record<string, string>>;
    readonly Tty: boolean;
    readonly OpenStdin: boolean;
    readonly StdinOnce: boolean;
    readonly StopSignal?: string;
  };
  readonly HostConfig: {
    readonly CgroupParent: string;
    readonly NetworkMode: string;
    readonly IpcMode: string;
    readonly PidMode: string;
    readonly CpuShares: number;
    readonly CpuPeriod: number;
    readonly CpuQuota: number;
    readonly CpusetCpus: string;
    readonly CpusetMems: string;
    readonly Memory: number;
    readonly MemorySwap: number;
    readonly OomScoreAdj: number;
  };
  readonly NetworkSettings: { readonly SandboxKey?: string };
}

export interface InspectedImage {
  readonly Id: string;
  readonly RepoTags: readonly string[] | null;
  readonly RepoDigests: readonly string[] | null;
  readonly Size: number;
  readonly Config?: { readonly User?: string } | null;
}

export interface DockerInfo {
  readonly ServerVersion: string;
  readonly CgroupDriver: string;
  readonly DockerRootDir: string;
  readonly Runtimes?: Readonly<Record<string, unknown>>;
  readonly DefaultRuntime?: string;
}

export interface DockerEvent {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly timeNano: number;
}

/** `2026-01-02T03:04:05.123456789Z` as nanoseconds since the epoch; 0 for Docker's "never" (the year 1). */
export function dockerTimeNanos(text: string): number {
  const match = /^(\d{4})-.*?(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (match === null || match[1] === '0001') return 0;
  const [, , fraction = '', zone = 'Z'] = match;
  const seconds = Date.parse(`${text.slice(0, 19)}${zone}`) / 1000;
  return seconds * 1e9 + Number(fraction.padEnd(9, '0').slice(0, 9));
}
