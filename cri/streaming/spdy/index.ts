export { SpdySession, type SpdySessionOptions } from './session.js';
export { SpdyStream } from './stream.js';
export type { SpdyHeaders } from './headers.js';
