import type { Taint } from '../api/index.js';

/** How the node belongs to a Kubernetes cluster. */
export interface ClusterSettings {
  readonly kubeconfig: string;
  /** Credentials that may only ask for better ones; used while `kubeconfig` is missing or its certificate has expired. */
  readonly bootstrapKubeconfig: string | undefined;
  /** Where certificates are kept that the cluster issued. */
  readonly certDir: string;
  readonly rotateCertificates: boolean;
  readonly serverTlsBootstrap: boolean;
  readonly registerNode: boolean;
  /** A controller of the cluster attaches volumes to this node; else the agent does. */
  readonly controllerAttaches: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly Taint[];
  /** Primary family first; empty for the machine's own. `0.0.0.0` and `::` stand for its own of that family, where it has one (facts 10.2). */
  readonly nodeIps: readonly string[];
  readonly providerId: string | undefined;
  readonly externalCloudProvider: boolean;
  readonly statusEveryMs: number;
  readonly reportEveryMs: number;
  readonly leaseSeconds: number;
  readonly events: { readonly perSecond: number; readonly burst: number };
  /** The port the node tells the cluster to find its API on. */
  readonly kubeletPort: number;
}

export function defaultClusterSettings(kubeconfig: string): ClusterSettings {
  return {
    kubeconfig,
    bootstrapKubeconfig: undefined,
    certDir: '/var/lib/kubelet/pki',
    rotateCertificates: false,
    serverTlsBootstrap: false,
    registerNode: true,
    controllerAttaches: true,
    labels: {},
    taints: [],
    nodeIps: [],
    providerId: undefined,
    externalCloudProvider: false,
    statusEveryMs: 10_000,
    reportEveryMs: 300_000,
    leaseSeconds: 40,
    events: { perSecond: 50, burst: 100 },
    kubeletPort: 10_250,
  };
}
