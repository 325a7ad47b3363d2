import type { DevicePoolConfig } from '../../deviceplugin/index.js';
import type { VerificationPolicy } from '../images/image-access.js';
import type { ClusterSettings } from './cluster-config.js';
import type { CredentialProviderConfig } from './credential-providers.js';
import type { KubeletConfiguration } from './kubelet/index.js';

/** Everything that is decided before the agent starts, parsed once and frozen. */
export interface AgentConfig {
  readonly nodeName: string;
  readonly paths: {
    /** `$ROOT`: the kubelet's own layout, which plugins rely on. */
    readonly rootDir: string;
    /** Make it a shared mount where the machine's mounts are private; false when absent. */
    readonly shareRootDir?: boolean | undefined;
    /** What must survive a reboot and is berth's own: runtime records, images, objects, calls. */
    readonly stateDir: string;
    /** What must not survive a reboot. */
    readonly runDir: string;
    readonly podLogsDir: string;
    readonly containerLogsDir: string | undefined;
    readonly cniConfDir: string;
    readonly cniBinDirs: readonly string[];
    /** Where FlexVolume drivers are. */
    readonly volumePluginDir: string;
  };
  readonly sources: {
    readonly manifestPath: string | undefined;
    readonly manifestUrl: string | undefined;
    readonly manifestHeaders: Readonly<Record<string, readonly string[]>>;
    readonly fileCheckMs: number;
    readonly httpCheckMs: number;
  };
  /** The kubelet's own configuration with its defaults, for parts that have no place of their own in this tree. */
  readonly kubelet?: KubeletConfiguration | undefined;
  /** Undefined on a machine without a cluster. */
  readonly cluster?: ClusterSettings | undefined;
  readonly runtime: {
    /** `embedded`, `docker`, or `unix://...`. */
    readonly endpoint: string;
    /** CRI socket of the images, where another service has them. */
    readonly imageEndpoint?: string | undefined;
    /** Deadline of an ordinary call to a runtime that is another process; 2 minutes when absent. */
    readonly requestTimeoutMs?: number | undefined;
    /** The cgroup it runs in, where it is a process of its own and this is said. */
    readonly cgroups?: string | undefined;
    /** OCI runtimes by RuntimeClass handler. */
    readonly ociRuntimes: Readonly<Record<string, string>>;
    /** Registries spoken to over plain HTTP. */
    readonly insecureRegistries: readonly string[];
  };
  /** Device plugins, dynamic resources, and devices of the host that need no plugin. */
  readonly devices: {
    readonly enabled: boolean;
    readonly pools: readonly DevicePoolConfig[];
    /** How long a plugin that went may come back before its pods are refused; 5 minutes when absent. */
    readonly graceMs?: number | undefined;
    /** Where CDI specifications lie; `/etc/cdi` and `/var/run/cdi` when absent. The later wins. */
    readonly cdiDirs?: readonly string[] | undefined;
  };
  readonly cgroups: {
    readonly driver: 'cgroupfs' | 'systemd';
    readonly root: string;
    readonly cpuCfsQuota: boolean;
    readonly cpuPeriodUs: number;
    readonly podPidsLimit: number;
  };
  readonly dns: { readonly servers: readonly string[]; readonly domain: string; readonly resolvConf: string };
  /** How images are got, and who may use them. */
  readonly images?:
    | {
        readonly credentialProviders: readonly CredentialProviderConfig[];
        /** How many pulls a second may begin; undefined for no limit. */
        readonly pullRate: { readonly perSecond: number; readonly burst: number } | undefined;
        /** Undefined: an image that is here may be used by every pod. */
        readonly verification: VerificationPolicy | undefined;
      }
    | undefined;
  readonly limits: {
    readonly maxPods: number;
    /** Sandboxes and containers started at once. */
    readonly starts: number;
    readonly parallelPulls: number;
    /** Longest one CNI plugin may take to attach or detach a pod; a minute when absent. */
    readonly cniMs?: number | undefined;
    readonly restartBackoffMaxMs: number;
  };
  readonly security: { readonly seccompDefault: boolean; readonly allowedUnsafeSysctls: readonly string[] };
  readonly serving: { readonly healthzAddress: string; readonly healthzPort: number; readonly socketPath: string };
}

/** The version of Kubernetes whose kubelet berth behaves as. */
export const kubeVersion = '1.36';

/** Defaults of a machine without a cluster; the kubelet's where it has one. */
export function defaultConfig(nodeName: string, cpus: number): AgentConfig {
  return {
    nodeName,
    paths: {
      rootDir: '/var/lib/kubelet',
      stateDir: '/var/lib/berth',
      runDir: '/run/berth',
      podLogsDir: '/var/log/pods',
      containerLogsDir: '/var/log/containers',
      cniConfDir: '/etc/cni/net.d',
      cniBinDirs: ['/opt/cni/bin', '/usr/lib/cni'],
      volumePluginDir: '/usr/libexec/kubernetes/kubelet-plugins/volume/exec/',
    },
    sources: {
      manifestPath: undefined,
      manifestUrl: undefined,
      manifestHeaders: {},
      fileCheckMs: 20_000,
      httpCheckMs: 20_000,
    },
    runtime: {
      endpoint: 'embedded',
      ociRuntimes: { crun: '/usr/bin/crun', runc: '/usr/sbin/runc' },
      insecureRegistries: [],
    },
    devices: { enabled: true, pools: [] },
    cgroups: { driver: 'cgroupfs', root: '/', cpuCfsQuota: true, cpuPeriodUs: 100_000, podPidsLimit: -1 },
    dns: { servers: [], domain: '', resolvConf: '/etc/resolv.conf' },
    limits: { maxPods: 110, starts: Math.max(cpus * 2, 4), parallelPulls: 3, restartBackoffMaxMs: 300_000 },
    security: { seccompDefault: false, allowedUnsafeSysctls: [] },
    serving: { healthzAddress: '127.0.0.1', healthzPort: 10_248, socketPath: '/run/berth/berth.sock' },
  };
}
