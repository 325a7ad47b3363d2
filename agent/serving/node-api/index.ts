export { ApiError, type StatusBody } from './api-error.js';
export { answers, claimSocket, SocketError, type SocketFailure } from './claim-socket.js';
export type * from './contract.js';
export { NodeApiServer } from './node-api-server.js';
export { kindOf, objectKinds } from './object-kinds.js';
export { nodeApiRoutes } from './routes/index.js';
