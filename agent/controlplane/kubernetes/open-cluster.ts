import type { ClusterSettings } from '../../config/cluster-config.js';
import { openClusterAccess, servingStore } from './cluster-access.js';
import { KubernetesControlPlane, type KubernetesDeps } from './kubernetes-control-plane.js';

export interface OpenClusterOptions {
  readonly nodeName: string;
  readonly settings: ClusterSettings;
  readonly lastKnownDir: string;
  readonly userAgent: string;
}

/** The control plane of the cluster that the kubeconfig names. Does not wait for the server, nor for a certificate. */
export async function openCluster(
  { nodeName, settings, lastKnownDir, userAgent }: OpenClusterOptions,
  deps: KubernetesDeps,
  signal: AbortSignal,
): Promise<KubernetesControlPlane> {
  signal.throwIfAborted();
  const access = await openClusterAccess(nodeName, settings, userAgent, deps);
  const { events, serverTlsBootstrap, certDir } = settings;
  const serving = serverTlsBootstrap ? servingStore(certDir) : undefined;
  return await KubernetesControlPlane.open({ nodeName, access, lastKnownDir, userAgent, events, serving }, deps);
}
