import { BerthError } from '../../base/errors.js';

export type StreamingFailure =
  /** The server answered the request for a stream with an HTTP status other than 101. */
  | { readonly code: 'refused'; readonly status: number }
  /** The other end broke the protocol, or the two have none in common. */
  | { readonly code: 'protocol' }
  /** The connection went away before the end. */
  | { readonly code: 'closed' }
  /** The other end reported that the command or the connection failed. */
  | { readonly code: 'failed'; readonly reason: string };

export class StreamingError extends BerthError<StreamingFailure> {}
