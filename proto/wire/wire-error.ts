import { BerthError } from '../../base/errors.js';

/** The gRPC status codes in our spelling, at the place of their number. */
const codes = [
  'ok',
  'cancelled',
  'unknown',
  'invalid-argument',
  'deadline-exceeded',
  'not-found',
  'already-exists',
  'permission-denied',
  'resource-exhausted',
  'failed-precondition',
  'aborted',
  'out-of-range',
  'unimplemented',
  'internal',
  'unavailable',
  'data-loss',
  'unauthenticated',
] as const;

export type GrpcCode = Exclude<(typeof codes)[number], 'ok'>;

export const isGrpcCode = (code: string): code is GrpcCode => code !== 'ok' && codes.some((each) => each === code);

export interface WireFailure {
  readonly code: GrpcCode;
  /** True when the stream ended without a status of the server: the code is this side's guess. */
  readonly streamBroken: boolean;
  /** True when what came back is no message of this protocol: the code is this side's as well. */
  readonly garbled: boolean;
}

/** How a gRPC call ended when it did not end well; `message` holds the server's own words. */
export class WireError extends BerthError<WireFailure> {}

/** A failure of this side, before anything was asked. */
export function notAsked(message: string, code: GrpcCode): WireError {
  return new WireError(message, { code, streamBroken: false, garbled: false });
}

/** Translates what grpc-js throws; called where it is met and nowhere else. */
export function wireError(err: unknown, garbled: boolean): WireError {
  if (!(err instanceof Error)) return new WireError(String(err), { code: 'unknown', streamBroken: false, garbled });
  const number = 'code' in err && typeof err.code === 'number' ? err.code : 2;
  const code = codes[number] ?? 'unknown';
  const details = 'details' in err && typeof err.details === 'string' ? err.details : '';
  // grpc-js keeps the HTTP/2 reset code on the errors it makes up when no trailers came.
  const streamBroken = 'rstCode' in err && err.rstCode !== undefined;
  return new WireError(
    details === '' ? err.message : details,
    { code: code === 'ok' ? 'unknown' : code, streamBroken, garbled },
    // With details the original says the same words again, and a person would read them twice.
    details === '' ? { cause: err } : undefined,
  );
}
