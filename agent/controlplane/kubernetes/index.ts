/** A Kubernetes API server as the control plane of the node. */
export { KubernetesControlPlane, type KubernetesDeps, type KubernetesOptions } from './kubernetes-control-plane.js';
export { readKubeconfig, KubeconfigError, type ClusterConfig } from './client/index.js';
export { openCluster, type OpenClusterOptions } from './open-cluster.js';
