import { CriError, type CriCode, type CriFailure } from '../../contract/cri-error.js';

/** Why work on an image failed, finer than the CRI codes. */
export type ImageFailureReason =
  | 'name-invalid'
  | 'not-found'
  | 'unauthorized'
  /** Refused connection, no route, no such host, a 5xx, a registry that went silent before it sent a manifest. */
  | 'registry-unavailable'
  /** It answers, but not with TLS that can be trusted. */
  | 'registry-untrusted'
  | 'timed-out'
  | 'disk-full'
  | 'manifest-invalid'
  | 'no-matching-platform'
  /** A layer that is damaged, does not have the promised digest, or tries to leave its folder. */
  | 'layer-invalid'
  | 'archive-invalid'
  | 'signature-rejected'
  | 'program-missing'
  | 'failed';

export interface ImageFailure extends CriFailure {
  readonly reason: ImageFailureReason;
}

/** The error of everything in this folder: a CRI code for the wire, and the reason behind it. */
export class ImageError extends CriError {
  declare readonly failure: ImageFailure;
}

const codes: Readonly<Record<ImageFailureReason, CriCode>> = {
  'name-invalid': 'invalid-argument',
  'not-found': 'not-found',
  unauthorized: 'permission-denied',
  'registry-unavailable': 'unavailable',
  'registry-untrusted': 'unavailable',
  'timed-out': 'deadline-exceeded',
  'disk-full': 'resource-exhausted',
  'manifest-invalid': 'failed-precondition',
  'no-matching-platform': 'not-found',
  'layer-invalid': 'failed-precondition',
  'archive-invalid': 'invalid-argument',
  'signature-rejected': 'permission-denied',
  'program-missing': 'failed-precondition',
  failed: 'unknown',
};

export function imageError(reason: ImageFailureReason, message: string, cause?: unknown): ImageError {
  const pullReason =
    reason === 'registry-unavailable' || reason === 'registry-untrusted'
      ? 'RegistryUnavailable'
      : reason === 'signature-rejected'
        ? 'SignatureValidationFailed'
        : undefined;
  const failure: ImageFailure = { code: codes[reason], reason, pullReason };
  return new ImageError(message, failure, cause === undefined ? undefined : { cause });
}

export function isImageFailure(err: unknown, reason: ImageFailureReason): err is ImageError {
  return err instanceof ImageError && err.failure.reason === reason;
}
