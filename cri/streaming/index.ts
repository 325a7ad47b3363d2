export { StreamingError, type StreamingFailure } from './streaming-error.js';
export { acceptCommand, type CommandSession } from './accept-command.js';
export type { CommandStreams } from './command-channels.js';
export type { CommandOutcome } from './command-outcome.js';
export { acceptPortForward, type ForwardConnection } from './accept-port-forward.js';
export { connectCommand } from './connect-command.js';
export { connectPortForward } from './connect-port-forward.js';
export { refuseUpgrade } from './http-upgrade.js';
