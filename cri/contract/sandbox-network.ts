export interface SandboxPortMapping {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly containerPort: number;
  readonly hostPort: number;
  readonly hostIp: string;
}

export interface SandboxNetworkRequest {
  readonly sandboxId: string;
  /** Path that a CNI plugin can open: a pinned namespace. */
  readonly netnsPath: string;
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string };
  /** Only those with a host port. */
  readonly portMappings: readonly SandboxPortMapping[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly dns: {
    readonly servers: readonly string[];
    readonly searches: readonly string[];
    readonly options: readonly string[];
  };
  /** Path of the pod's cgroup below the hierarchy, empty when there is none. */
  readonly cgroupPath: string;
}

export interface SandboxNetworkResult {
  /** Addresses without prefix length, the primary one first. */
  readonly ips: readonly string[];
}

/**
 * What a runtime without a network of its own needs from one: "give me a network for this namespace". The composition root
 * hands over CNI. Implementations keep on disk what they attached, so that `detach` works after a crash or a reboot.
 */
export interface SandboxNetwork {
  /** Fails with nothing attached, or with what is left recorded for `detach`. */
  attach(request: SandboxNetworkRequest, signal: AbortSignal): Promise<SandboxNetworkResult>;
  /** Succeeds when there is nothing left to remove; works when the namespace is gone. */
  detach(sandboxId: string, signal: AbortSignal): Promise<void>;
  /** Sandbox ids that something is still attached for, also from before a restart. */
  attached(signal: AbortSignal): Promise<readonly string[]>;
  /** Whether an attach could succeed now; becomes the NetworkReady condition. */
  status(signal: AbortSignal): Promise<{ readonly ready: boolean; readonly reason: string; readonly message: string }>;
}
