import { BerthError } from '../../base/errors.js';

/**
 * The gRPC status codes that CRI v1 gives a meaning, in our spelling. Implementations throw no other error;
 * `cri/remote` and `cri/serve` translate to and from the wire in one place.
 */
export type CriCode =
  | 'not-found'
  | 'already-exists'
  | 'invalid-argument'
  | 'failed-precondition'
  | 'resource-exhausted'
  | 'permission-denied'
  | 'unimplemented'
  | 'unavailable'
  | 'deadline-exceeded'
  | 'cancelled'
  | 'aborted'
  | 'internal'
  | 'unknown';

export interface CriFailure {
  readonly code: CriCode;
  /** For a failed image pull, the waiting reason the kubelet derives from it (`ErrImagePull` when absent). */
  readonly pullReason?: 'RegistryUnavailable' | 'SignatureValidationFailed' | undefined;
}

export class CriError extends BerthError<CriFailure> {}

export function criError(code: CriCode, message: string, cause?: unknown): CriError {
  return new CriError(message, { code }, cause === undefined ? undefined : { cause });
}

export function isCriCode(err: unknown, code: CriCode): boolean {
  return err instanceof CriError && err.failure.code === code;
}

/** Undefined where what was asked for, or acted on, is not there: it may have gone a moment before. */
export async function unlessGone<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (err) {
    if (isCriCode(err, 'not-found')) return undefined;
    throw err;
  }
}
