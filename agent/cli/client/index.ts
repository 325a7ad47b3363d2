export { ClientError, usage, type ClientFailure } from './client-error.js';
export { apiPath, NodeApiClient, type Query } from './node-api-client.js';
export { defaultSocket, demoSocket, socketPath } from './socket-path.js';
