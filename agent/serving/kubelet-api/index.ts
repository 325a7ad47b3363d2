/**
 * The kubelet's HTTPS API, port 10250: what the API server, metrics-server and Prometheus ask a node. Loaded where it is served;
 * `settings-of-config.ts` says whether it is.
 */
export { clusterAccessReviews, type AccessReviews, type ReviewClient } from './auth/index.js';
export { openKubeletApi, type KubeletApi, type KubeletApiDeps } from './open-kubelet-api.js';
export { reviewsOf } from './reviews-of-control-plane.js';
export { defaultKubeletApiSettings, type KubeletApiSettings, type TlsVersion } from './settings.js';
export { kubeletApiSettings } from './settings-of-config.js';
export { usageReports, type UsageReports } from './usage-reports.js';
