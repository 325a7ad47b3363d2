export { FrameConnection, frameDuplex, readableFrames } from './frame-connection.js';
export { frameTypes, type Frame, type StreamEnd } from './frames.js';

/** The protocol's name in the `Upgrade` header. */
export const streamProtocol = 'berth-stream/1';
