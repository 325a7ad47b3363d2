import { BerthError } from '../../base/errors.js';

/** Where a gRPC status leads us; the other codes are all "the plugin said no". */
export type WireFailure =
  | { readonly code: 'refused'; readonly grpcCode: number }
  | { readonly code: 'unimplemented' }
  | { readonly code: 'timed-out' }
  | { readonly code: 'unreachable' }
  /** What came back is no message of this protocol. */
  | { readonly code: 'garbage' };

/** How a call to a plugin ended when it did not end well; `message` holds the plugin's own words. */
export class WireError extends BerthError<WireFailure> {}

const cancelled = 1;
const deadlineExceeded = 4;
const resourceExhausted = 8;
const unimplemented = 12;
const internal = 13;
const unavailable = 14;

/** Translates what grpc-js throws; called where it is met and nowhere else. */
export function wireError(err: unknown): WireError {
  const grpcCode = err instanceof Error && 'code' in err && typeof err.code === 'number' ? err.code : 2;
  const details = err instanceof Error && 'details' in err && typeof err.details === 'string' ? err.details : '';
  const words = details !== '' ? details : err instanceof Error ? err.message : String(err);
  return new WireError(words, failureOf(grpcCode, words), { cause: err });
}

function failureOf(grpcCode: number, words: string): WireFailure {
  switch (grpcCode) {
    case deadlineExceeded:
      return { code: 'timed-out' };
    case unimplemented:
      return { code: 'unimplemented' };
    case unavailable:
    case cancelled:
      return { code: 'unreachable' };
    case internal:
      // grpc-js says INTERNAL itself when bytes cannot be parsed or the HTTP/2 stream is reset; a plugin may say it too.
      if (/pars(e|ing)|deserial/i.test(words)) return { code: 'garbage' };
      return /RST_STREAM|goaway/i.test(words) ? { code: 'unreachable' } : { code: 'refused', grpcCode };
    case resourceExhausted:
      return /larger than max/.test(words) ? { code: 'garbage' } : { code: 'refused', grpcCode };
    default:
      return { code: 'refused', grpcCode };
  }
}
