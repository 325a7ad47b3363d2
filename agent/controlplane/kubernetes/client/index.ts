/** A small client of the Kubernetes API: kubeconfig, credentials, requests, lists and watches. */
export { ApiClient, type ApiRequest, type BodyType, type Method, type Reachability } from './api-client.js';
export { ApiError, isExpired, isNotServed, statusOf, type ApiFailure } from './api-error.js';
export { Backoff } from './backoff.js';
export {
  KubeconfigError,
  parseKubeconfig,
  readKubeconfig,
  type ClusterConfig,
  type ExecPlugin,
  type Material,
} from './kubeconfig.js';
export { listAll } from './list-all.js';
export { reflect, type ReflectorDeps, type ReflectorTarget } from './reflector.js';
export { RequestCounts } from './request-counts.js';
export { SteadyTrouble } from './steady-trouble.js';
export type { WatchedObject } from './watch-stream.js';
