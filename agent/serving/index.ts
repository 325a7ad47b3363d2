export { openServing, type Serving, type ServingDeps } from './open-serving.js';
export { MetricsStore } from './metrics/index.js';
export { SocketError, type SocketFailure } from './node-api/index.js';
export { openNotifier, type ServiceNotifier } from './notify/index.js';
export { berthVersion } from './version.js';
