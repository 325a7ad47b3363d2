import { errorText } from '../../../base/errors.js';
import { ControlPlaneError, type ControlPlaneFailure } from '../control-plane.js';
import { ApiError, statusOf } from './client/index.js';

/** The one place where answers of the API server become the failures the agent branches on. */
export function toControlPlaneError(err: unknown): ControlPlaneError {
  if (err instanceof ControlPlaneError) return err;
  return new ControlPlaneError(errorText(err), failureOf(err), { cause: err });
}

function failureOf(err: unknown): ControlPlaneFailure {
  if (!(err instanceof ApiError) || err.failure.code !== 'status') return { code: 'unavailable' };
  switch (statusOf(err)) {
    case 403:
      return { code: 'forbidden' };
    case 404:
      return { code: 'not-found' };
    case 409:
      return { code: 'conflict' };
    case 400:
    case 405:
    case 415:
    case 422:
      return { code: 'invalid' };
    default:
      return { code: 'unavailable' };
  }
}

/** Runs a call to the API server; what it fails with becomes a `ControlPlaneError`, an abort stays what it is. */
export async function translated<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await work();
  } catch (err) {
    signal.throwIfAborted();
    throw toControlPlaneError(err);
  }
}
