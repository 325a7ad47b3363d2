import { BerthError } from '../../base/errors.js';
import type { GrpcCode, WireError } from '../../proto/wire/index.js';

export interface CsiFailure {
  /**
   * The driver's gRPC code; `not-registered` when there is no such driver now and nothing was called; `malformed` when its
   * answer breaks the specification.
   */
  readonly code: GrpcCode | 'not-registered' | 'malformed';
  readonly driver: string;
  /** `NodeStageVolume`, ... */
  readonly rpc: string;
  /**
   * `final`: the driver did not do it and is not at it. `uncertain`: it may have, or may still be doing it; what would have
   * been mounted must be taken for mounted and be undone before it is forgotten. A call given up by its signal is uncertain
   * too, but rejects with the signal's reason.
   */
  readonly certainty: 'final' | 'uncertain';
}

/** A call of a CSI driver that failed; the message holds the driver's own words. */
export class CsiError extends BerthError<CsiFailure> {}

/** As the kubelet draws the line. With these the operation may have been done, or be pending at the driver. */
const uncertainCodes: ReadonlySet<GrpcCode> = new Set<GrpcCode>([
  'cancelled',
  'deadline-exceeded',
  'unavailable',
  'resource-exhausted',
  'aborted',
]);

export function csiErrorOfCall(driver: string, rpc: string, err: WireError, words: string): CsiError {
  const { code, streamBroken, garbled } = err.failure;
  // An answer that nobody can read may have been a success.
  const certainty = streamBroken || garbled || uncertainCodes.has(code) ? 'uncertain' : 'final';
  return new CsiError(
    `call ${rpc} of CSI driver ${driver}: ${code}: ${words}`,
    { code, driver, rpc, certainty },
    // Words that had to be masked must not come back as those of the cause.
    words === err.message ? { cause: err } : undefined,
  );
}

export function malformedAnswer(driver: string, rpc: string, reason: string): CsiError {
  return new CsiError(`call ${rpc} of CSI driver ${driver}: ${reason}`, {
    code: 'malformed',
    driver,
    rpc,
    certainty: 'final',
  });
}

export function notRegistered(driver: string, reason: string): CsiError {
  return new CsiError(`use CSI driver ${driver}: ${reason}`, {
    code: 'not-registered',
    driver,
    rpc: '',
    // Nothing was asked, so whatever an earlier call left open is still open.
    certainty: 'uncertain',
  });
}

/** An expansion that will never work as it was asked for. */
export function isInfeasible(err: unknown): boolean {
  return err instanceof CsiError && ['invalid-argument', 'out-of-range', 'not-found'].includes(err.failure.code);
}

/** An expansion the driver refuses while the volume is in use. */
export function isInUse(err: unknown): boolean {
  return err instanceof CsiError && err.failure.code === 'failed-precondition';
}
