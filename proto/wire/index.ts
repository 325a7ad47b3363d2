/** gRPC over unix sockets, as plugins of a node speak it. Nothing of the gRPC library is loaded before the first call. */
export { UnixClient, type UnixClientOptions, type WireMethods } from './unix-client.js';
export { longestSocketPath, probeSocket } from './probe-socket.js';
export { isGrpcCode, WireError, type GrpcCode, type WireFailure } from './wire-error.js';
export { WireServices } from './wire-services.js';
