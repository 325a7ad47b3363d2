import { BerthError } from '../../../../base/errors.js';

export type ApiFailure =
  /** No connection, or it broke before the answer was complete. */
  | { readonly code: 'unreachable' }
  | { readonly code: 'timed-out' }
  /** The server's certificate is not one that the kubeconfig trusts. */
  | { readonly code: 'untrusted' }
  /** An answer with an error status; `reason` is the server's own word (`NotFound`, `Expired`, ...). */
  | { readonly code: 'status'; readonly status: number; readonly reason: string; readonly retryAfterMs?: number }
  /** An answer that is not what the protocol says. */
  | { readonly code: 'garbage' }
  /** There are no credentials to ask with. */
  | { readonly code: 'credentials' };

export class ApiError extends BerthError<ApiFailure> {}

/** The HTTP status of an answer, 0 for everything else. */
export function statusOf(err: unknown): number {
  return err instanceof ApiError && err.failure.code === 'status' ? err.failure.status : 0;
}

/** True when the server knows no such path: not an object that is missing, which it says in words of its own. */
export function isNotServed(err: unknown): boolean {
  return (
    err instanceof ApiError && err.failure.code === 'status' && err.failure.status === 404 && err.failure.reason === ''
  );
}

/** True when the server cannot go on from the resource version it was given: everything must be listed again. */
export function isExpired(err: unknown): boolean {
  return (
    statusOf(err) === 410 ||
    (err instanceof ApiError && err.failure.code === 'status' && err.failure.reason === 'Expired')
  );
}
